"""Steady-state runs: no worker waits for another, and the order of completion is part of the record."""

import dataclasses
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hwnas.api import open_run
from hwnas.candidate import Candidate, Outcome
from hwnas.device.device import LinkedDevice
from hwnas.errors import ConfigError, WorkError
from hwnas.experiment import Ended, Progress, evaluator, resume, start
from hwnas.experiment.cheap import cheap_values
from hwnas.experiment.context import assemble
from hwnas.experiment.tasks import inherit
from hwnas.report.payload import Summary
from hwnas.report.payload import progress as progress_of
from hwnas.spaces import initial_graphs
from hwnas.store import Row, RunStore
from tests.execution.conftest import local_workers
from tests.experiment.conftest import TINY, front, rows, tiny, told

INITIAL = len(initial_graphs((1, 8, 8), 10))
GENERATIONS = 3
CHILDREN = GENERATIONS * 2
LONGER = 10
BUDGET: Mapping[str, Any] = {**TINY["budget"], "generations": GENERATIONS}


def steady(**changes: Any) -> Any:
    return tiny(**{"asynchronous": True, "workers": 2, "budget": BUDGET, **changes})


def record(folder: Path) -> list[tuple[int, Sequence[Row]] | Outcome]:
    """Asks (how many were wanted, and what was asked) and outcomes, in the order in which they were stored."""
    with RunStore.open(folder, write=False) as store:
        found = list(store.rows())
        asks = list(store.events("ask"))
    entries: dict[int, Any] = {row.finished: row.outcome for row in found if row.outcome and row.outcome.status != "unfinished"}
    for number, event in enumerate(asks):
        assert event.generation == number
        assert event.payload["told"] == sum(place < event.sequence for place in entries if isinstance(entries[place], Outcome))
        entries[event.sequence] = (event.payload["wanted"], [row for row in found if row.generation == number])
    return [entries[place] for place in sorted(entries)]


def refuse_another_replay(folder: Path) -> list[str]:
    """Ask a fresh strategy in the recorded order: it must ask for what the run asked for. Gives its front."""
    with RunStore.open(folder, write=False) as store:
        config = store.config
    context = assemble(type(tiny()).model_validate_json(config))
    strategy = context.strategy(lambda graphs: [cheap_values(graph, {}) for graph in graphs])
    for entry in record(folder):
        if isinstance(entry, Outcome):
            strategy.tell(entry)
            continue
        wanted, stored = entry
        asked = [(c.id, c.parent, c.operator, c.architecture_id) for c in strategy.ask(wanted).candidates]
        assert asked == [(row.id, row.parent, row.operator, row.architecture_id) for row in stored]
    return list(strategy.front)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("steady") / "run"
    return folder, start(steady(), folder)


def test_generations_are_counted_in_children_and_few_are_asked_for_at_once(run: tuple[Path, Ended]) -> None:
    folder, ended = run
    found = rows(folder)
    assert (ended.trained, ended.reason) == (INITIAL + CHILDREN, f"{GENERATIONS} generations are done")
    assert {row.outcome.status for row in found if row.outcome} == {"finished"}
    assert [row.parent is None for row in found] == [True] * INITIAL + [False] * CHILDREN
    sizes = [len(entry[1]) for entry in record(folder) if isinstance(entry, tuple)]
    assert sizes[0] == INITIAL
    assert max(sizes[1:]) <= 4  # one in training and one that waits, for each of two workers
    assert len(sizes) > GENERATIONS + 1


def test_children_are_proposed_while_others_train(run: tuple[Path, Ended]) -> None:
    in_flight, asks = 0, []
    for entry in record(run[0]):
        in_flight += -1 if isinstance(entry, Outcome) else len(entry[1])
        if isinstance(entry, tuple):
            asks.append((len(entry[1]), in_flight))
    assert in_flight == 0
    # Each ask fills the places of both workers, but for the last, which the budget cuts. How many had ended before it is
    # the machine's affair: one, mostly.
    assert {filled for _, filled in asks[1:-1]} == {4}
    assert min(size for size, _ in asks[1:]) < 4


def test_a_fresh_strategy_asked_in_the_recorded_order_asks_the_same(run: tuple[Path, Ended]) -> None:
    assert refuse_another_replay(run[0]) == front(run[0])


def test_a_finished_run_resumed_does_nothing_and_a_larger_budget_continues_it(run: tuple[Path, Ended], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run[0], tmp_path / "run"))
    before, workers, others = (told(folder), front(folder)), [], set(local_workers())
    ended = resume(folder, listener=lambda progress: workers.append(len(set(local_workers()) - others)))
    assert (ended.trained, ended.reused, set(workers)) == (0, INITIAL + CHILDREN, {0})
    assert (told(folder), front(folder)) == before
    ended = resume(folder, changes={"generations": None, "max_evaluations": INITIAL + CHILDREN + 3})
    assert (ended.trained, ended.reused) == (3, INITIAL + CHILDREN)
    assert told(folder)[: INITIAL + CHILDREN] == before[0]
    assert all(row.outcome and row.outcome.status == "finished" for row in rows(folder))  # no more were asked for than fitted
    assert refuse_another_replay(folder) == front(folder)


def test_children_outlive_initial_networks_that_another_device_rules_out(run: tuple[Path, Ended], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run[0], tmp_path / "run"))
    over = [row.outcome for row in rows(folder) if row.parent is None and row.outcome]
    with RunStore.open(folder, write=True) as store:  # as measuring again ends
        store.revise([dataclasses.replace(outcome, status="infeasible") for outcome in over])
    assert resume(folder).trained == 0
    assert front(folder)
    assert not set(front(folder)) & {outcome.candidate_id for outcome in over}


def test_reports_count_generations_not_asks(run: tuple[Path, Ended]) -> None:
    opened = open_run(run[0])
    assert opened.ended() is not None
    with RunStore.open(run[0], write=False) as store:
        summaries = list(store.events("generation", Summary))
        generations = [event.generation for event in summaries]
        entries = opened.rows()
        progress = progress_of(store, entries)
    assert generations == list(range(len(generations)))
    assert generations[:4] == [0, 1, 2, 3]
    best = [min(r.values["error"] for r in rows(run[0]) if r.finished and r.finished < event.sequence) for event in summaries]
    assert progress["generation"] == generations
    assert progress["best"] == pytest.approx(best, rel=1e-8)
    assert opened.report(run[0] / "report.html").exists()


def in_process(folder: Path) -> None:
    os.setsid()
    if (folder / "run.sqlite").exists():
        resume(folder)
    else:
        start(steady(budget={**BUDGET, "generations": LONGER}), folder)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed again and again, and then finished."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    for limit in (2, INITIAL + 3):  # outcomes
        process = multiprocessing.get_context("spawn").Process(target=in_process, args=[folder])
        process.start()
        deadline = time.monotonic() + 120
        while ended_in(folder) < limit and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.is_alive(), "it should have been killed before its end"
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        before = {row.id: row.outcome for row in rows(folder) if row.outcome}
        assert len(before) < INITIAL + 2 * LONGER
    ended = resume(folder)
    assert (ended.reused, ended.trained) == (len(before), INITIAL + 2 * LONGER - len(before))  # nothing is trained twice
    after = {row.id: row.outcome for row in rows(folder)}
    assert {candidate_id: after[candidate_id] for candidate_id in before} == before
    return folder


def ended_in(folder: Path) -> int:
    return sum(row.outcome is not None for row in rows(folder)) if (folder / "run.sqlite").exists() else 0


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was_and_what_was_in_training_is_trained_again(killed: Path) -> None:
    assert all(row.outcome and row.outcome.status == "finished" for row in rows(killed))
    assert refuse_another_replay(killed) == front(killed)
    with RunStore.open(killed, write=False) as store:
        generations = [event.generation for event in store.events("generation")]
    assert generations == list(range(LONGER + 1))


@pytest.mark.slow
def test_what_was_in_training_at_a_kill_becomes_what_it_would_have_been(killed: Path, first_run: tuple[Path, Ended]) -> None:
    """Initial networks depend on the seed alone: killed or not, steady state or not, they are the same to the bit."""
    assert told(killed)[:INITIAL] == told(first_run[0])[:INITIAL]


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_trained(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.trained == 3:
            os.kill(os.getpid(), signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        start(steady(), tmp_path / "run", listener=interrupt)
    kept = sum(row.outcome is not None for row in rows(tmp_path / "run"))
    assert 3 <= kept < INITIAL
    ended = resume(tmp_path / "run")
    assert (ended.reused, ended.trained) == (kept, INITIAL + CHILDREN - kept)
    assert refuse_another_replay(tmp_path / "run") == front(tmp_path / "run")


@pytest.mark.slow
def test_when_the_time_is_over_children_in_training_stay_unfinished_until_there_is_more(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def slow(progress: Progress) -> None:
        if progress.trained:
            time.sleep(progress.left_s or 0.0)

    start(steady(budget={"max_evaluations": INITIAL + 1, "images_per_child": 320}, final={"share": 0.0}), folder)
    with RunStore.open(folder, write=False) as store:
        used_s = store.meta("used_s")
    ended = resume(folder, changes={"max_evaluations": None, "time": used_s + 5}, listener=slow)
    assert ended.reason == "the time budget is used up"
    statuses = [row.outcome.status if row.outcome else None for row in rows(folder)]
    assert set(statuses) == {"finished", "unfinished"}
    cut = (told(folder), front(folder))
    assert resume(folder).trained == 0
    assert (told(folder), front(folder)) == cut
    ended = resume(folder, changes={"time": None, "max_evaluations": INITIAL + 12})
    assert ended.reused == statuses.count("finished")
    assert {row.outcome.status for row in rows(folder) if row.outcome} == {"finished"}
    assert refuse_another_replay(folder) == front(folder)


@pytest.mark.slow
def test_what_cannot_be_trained_or_kept_within_limits_ends_the_run_clearly(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"no initial network could be trained: "):
        start(steady(budget={**BUDGET, "child_memory_mb": 0.5}), tmp_path / "starved")
    assert {row.outcome.status for row in rows(tmp_path / "starved") if row.outcome} == {"failed"}
    with pytest.raises(ConfigError, match=r"latency_ms \S+ \(limit 1e-05\)"):
        start(steady(limits={"latency_ms": 1e-5}), tmp_path / "slow")
    assert {row.outcome.status for row in rows(tmp_path / "slow") if row.outcome} == {"infeasible"}


@pytest.mark.slow
def test_a_space_without_anything_new_ends_the_run_and_so_it_does_when_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ended = start(steady(limits={"parameters": 30.0}, budget={"generations": 40, "images_per_child": 32}), folder)
    assert "networks tried before" in ended.reason
    asks = [entry[1] for entry in record(folder) if isinstance(entry, tuple)]
    assert not asks[-1]  # nothing in training gave anything new either
    assert any(asks[1:])
    assert resume(folder, changes={"generations": 41}).reason == ended.reason
    assert len([entry for entry in record(folder) if isinstance(entry, tuple)]) == len(asks)
    assert refuse_another_replay(folder) == front(folder)


@pytest.mark.slow
def test_on_this_machine_nothing_trains_while_a_generation_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: dict[int, set[int]] = {}
    transferred: Counter[str] = Counter()

    def counted(candidate: Candidate, *others: Any) -> Any:
        transferred[candidate.id] += 1
        return inherit(candidate, *others)

    monkeypatch.setattr(evaluator, "inherit", counted)

    def listen(seen: Progress) -> None:
        if seen.phase == "measuring":
            trained.setdefault(seen.generation, set()).add(seen.trained)
            time.sleep(0.3)  # a tiny child would end meanwhile

    folder = tmp_path / "run"
    objectives = ("error", "parameters", "latency_ms")
    start(steady(objectives=objectives, lemonade={"proposals": 8, "accepted": 4}), folder, listener=listen)
    assert [sorted(counts) for counts in trained.values()] == [[0], [INITIAL], [INITIAL + 4], [INITIAL + 8]]
    assert all("latency_ms" in row.values for row in rows(folder))
    assert transferred == {row.id: 1 for row in rows(folder)}  # for the ONNX file and for the training, once
    with RunStore.open(folder, write=False) as store:
        assert [event.payload["of"] for event in store.events("predictor")] == ["leave_one_out"] + ["generation"] * 3


@pytest.mark.slow
def test_children_train_while_others_are_measured_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LinkedDevice, "is_elsewhere", True)
    folder = tmp_path / "run"
    start(steady(objectives=("error", "parameters", "latency_ms")), folder)
    with RunStore.open(folder, write=False) as store:
        measured = [measurement.sequence for measurement in store.measurements("search")]
    ended = [row.finished for row in rows(folder) if row.finished]
    assert len(ended) == len(measured) == INITIAL + CHILDREN
    assert min(ended) < measured[INITIAL - 1]  # some had ended before the last of the initial networks was measured
    in_training = [sum(m < place for m in measured) - sum(e < place for e in ended) for place in measured]
    assert max(in_training) <= 4
