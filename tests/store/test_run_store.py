import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_samples import child, finished, initial, weights_of

from hwnas.candidate import Failure, Outcome
from hwnas.errors import RunFolderError, StoreError
from hwnas.store import RunStore, content_hash
from tests.graphs import SAMPLES


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore.create(tmp_path / "run", config='{"seed": 0}', meta={"version": "0.1.0"}) as made:
        yield made


def reopened(store: RunStore, *, write: bool = False) -> RunStore:
    store.close()
    return RunStore.open(store.folder, write=write)


def test_what_is_written_is_read_back_by_another_connection(store: RunStore) -> None:
    parents = [initial(slot, name) for slot, name in enumerate(SAMPLES)]
    children = [child(parent, 1, slot) for slot, parent in enumerate(parents)]
    store.add_candidates(parents)
    store.add_candidates(children, ask={"duplicates": 3, "seconds": 0.1})
    outcomes = []
    for number, parent in enumerate(parents[:2]):
        outcomes.append(finished(parent.id, weights_of(number)))
        store.add_outcome(outcomes[-1], weights_of(number))
    outcomes.append(Outcome(candidate_id="g0-3", status="failed", failure=Failure(kind="diverged", message="NaN at step 3")))
    store.add_outcome(outcomes[-1], None)
    with reopened(store) as reader:
        assert list(reader.candidates()) == parents + children
        assert reader.candidate("g1-2") == children[2]
        assert list(reader.outcomes()) == outcomes
        assert reader.outcome("g0-1") == outcomes[1]
        assert reader.outcome("g1-0") is None
        assert reader.weights(content_hash(weights_of(1))) == weights_of(1)
        assert reader.config == '{"seed": 0}'
        assert reader.meta("version") == "0.1.0"
        (ask,) = reader.events("ask")
        assert (ask.generation, ask.payload) == (1, {"duplicates": 3, "seconds": 0.1})
        for row, candidate in zip(reader.rows(), parents + children, strict=True):
            shown = (row.id, row.parent, row.operator, row.exact, row.architecture_id, row.cheap)
            assert shown == (
                candidate.id,
                candidate.parent,
                candidate.operator,
                candidate.exact,
                candidate.architecture_id,
                candidate.cheap,
            )


def test_parents_training_settings_and_genotype_are_stored(store: RunStore) -> None:
    first, second = initial(0), initial(1, "flat")
    both = dataclasses.replace(child(first, 1, 0), parents=("g0-1", "g0-0"))
    trained = dataclasses.replace(child(first, 1, 1), training={"learning_rate": 0.1, "optimiser": "sgd"})
    cells = dataclasses.replace(child(first, 1, 2), genotype='{"cell":[1,2]}')
    store.add_candidates([first, second])
    store.add_candidates([both, trained, cells])
    with reopened(store, write=True) as again:
        assert list(again.candidates()) == [first, second, both, trained, cells]
        row = again.row("g1-0")
        assert (row.parents, row.parent, row.candidate.parent) == (("g0-1", "g0-0"), "g0-1", "g0-1")
        assert (again.row("g0-0").parents, again.row("g0-0").parent) == ((), None)
        with pytest.raises(StoreError, match=r"g1-3 is in the store already, or its parent g0-0, g0-7 is not"):
            again.add_candidates([dataclasses.replace(child(first, 1, 3), parents=("g0-0", "g0-7"))])
        assert [row.id for row in again.rows()] == ["g0-0", "g0-1", "g1-0", "g1-1", "g1-2"]


def test_weights_of_every_parent_of_who_waits_are_kept(store: RunStore) -> None:
    parents = [initial(slot, name) for slot, name in enumerate(("plain", "flat", "dense"))]
    store.add_candidates(parents)
    store.add_candidates([dataclasses.replace(child(parents[0], 1, 0), parents=("g0-0", "g0-2"))])
    for number, parent in enumerate(parents):
        store.add_outcome(finished(parent.id, weights_of(number)), weights_of(number))
    assert store.collect(set()) == 1
    assert [store.has_weights(content_hash(weights_of(number))) for number in range(3)] == [True, False, True]


def test_a_hash_is_renamed_wherever_it_stands(store: RunStore) -> None:
    store.add_measurement("a", "search", {"ms": 1.0, "profile": "ab12"}, fingerprint_sha256="f", profile_sha256="ab12")
    store.add_measurement("b", "search", {"ms": 2.0}, fingerprint_sha256="f", profile_sha256="cd34")
    store.add_event("rung", {"device": "ab12"})
    store.set_meta("device", "ab12")
    store.rename_hash("ab12", "ef56")
    assert [(m.profile_sha256, m.latency.get("profile")) for m in store.measurements()] == [("ef56", "ef56"), ("cd34", None)]
    assert [event.payload for event in store.events("rung")] == [{"device": "ef56"}]
    assert store.meta("device") == "ef56"


def test_rows_come_by_generation_and_slot_and_outcomes_as_told(store: RunStore) -> None:
    first = initial(10)
    store.add_candidates([first, initial(9), initial(2)])
    store.add_candidates([child(first, 10, 0), child(first, 2, 0)])
    told = ["g10-0", "g0-10", "g2-0", "g0-2"]
    for number, candidate_id in enumerate(told):
        store.add_outcome(finished(candidate_id, weights_of(number)), weights_of(number))
    assert [row.id for row in store.rows()] == ["g0-2", "g0-9", "g0-10", "g2-0", "g10-0"]
    assert [outcome.candidate_id for outcome in store.outcomes()] == told


def test_order_is_that_of_writing_when_the_clock_jumps_back(tmp_path: Path) -> None:
    hours = iter(range(100, 0, -1))
    with RunStore.create(tmp_path / "run", config="{}", meta={}, clock=lambda: 3600.0 * next(hours)) as store:
        store.add_candidates([initial(0), initial(1)])
        for number in (1, 0):
            store.add_outcome(finished(f"g0-{number}", weights_of(number)), weights_of(number))
            store.add_event("budget", {"used_s": number})
        assert [outcome.candidate_id for outcome in store.outcomes()] == ["g0-1", "g0-0"]
        assert [event.payload["used_s"] for event in store.events()] == [1, 0]
        rows = {row.id: row for row in store.rows()}
        assert rows["g0-1"].finished < rows["g0-0"].finished
        assert rows["g0-1"].finished_at > rows["g0-0"].finished_at
        last = store.last_event("budget")
        assert last is not None
        assert last.payload == {"used_s": 0}
        assert store.last_event("warning") is None


def test_an_event_is_read_as_the_kind_asked_for(store: RunStore) -> None:
    store.add_event("front", {"ids": ["g0-0"]})
    last = store.last_event("front", dict[str, tuple[str, ...]])
    assert last is not None
    assert last.payload == next(store.events("front", dict[str, tuple[str, ...]])).payload == {"ids": ("g0-0",)}
    with pytest.raises(StoreError, match=r"event \d+ is damaged: ids: 0: .* valid integer"):
        store.last_event("front", dict[str, list[int]])


def test_one_sequence_orders_candidates_outcomes_events_and_measurements(store: RunStore) -> None:
    store.add_candidates([initial(0)])
    store.add_measurement("a", "search", {"median_ms": 1.0}, fingerprint_sha256="f", profile_sha256="p")
    store.add_outcome(finished("g0-0", weights_of(0)), weights_of(0))
    store.add_event("generation", {"front": 1}, generation=0)
    row, measurement, event = store.row("g0-0"), next(store.measurements()), next(store.events())
    assert row.finished is not None
    assert row.sequence < measurement.sequence < row.finished < event.sequence


def test_a_candidate_is_told_once_unless_it_was_unfinished(store: RunStore) -> None:
    store.add_candidates([initial(0), initial(1)])
    store.add_outcome(Outcome(candidate_id="g0-0", status="unfinished"), None)
    store.add_outcome(finished("g0-1", weights_of(1)), weights_of(1))
    store.add_outcome(finished("g0-0", weights_of(0)), weights_of(0))
    assert [outcome.candidate_id for outcome in store.outcomes()] == ["g0-1", "g0-0"]
    with pytest.raises(StoreError, match=r"g0-0 has an outcome already \(finished\)"):
        store.add_outcome(finished("g0-0", weights_of(2)), weights_of(2))
    assert store.outcome("g0-0") == finished("g0-0", weights_of(0))
    assert not list(store.folder.glob(f"weights/{content_hash(weights_of(2))}*"))


def test_weights_must_be_those_that_the_outcome_names(store: RunStore) -> None:
    store.add_candidates([initial(0), initial(1)])
    with pytest.raises(StoreError, match="names weights"):
        store.add_outcome(finished("g0-0", weights_of(0)), weights_of(1))
    with pytest.raises(StoreError, match="not stored"):
        store.add_outcome(finished("g0-0", weights_of(0)), None)
    assert store.outcome("g0-0") is None
    store.add_outcome(finished("g0-0", weights_of(0)), weights_of(0))
    store.add_outcome(finished("g0-1", weights_of(0)), None)
    assert len(list((store.folder / "weights").iterdir())) == 1


def test_a_generation_is_stored_as_a_whole_or_not_at_all(store: RunStore) -> None:
    store.add_candidates([initial(0)])
    orphan = child(initial(7), 1, 1)
    with pytest.raises(StoreError, match="g1-1 is in the store already, or its parent g0-7 is not"):
        store.add_candidates([child(initial(0), 1, 0), orphan], ask={})
    with pytest.raises(StoreError, match="g0-0 is in the store already"):
        store.add_candidates([initial(0)])
    with pytest.raises(StoreError, match="finite"):
        store.add_candidates([child(initial(0), 1, 0)], ask={"seconds": float("nan")})
    assert [row.id for row in store.rows()] == ["g0-0"]
    assert not list(store.events())


def test_final_values_stand_beside_the_outcome(store: RunStore) -> None:
    store.add_candidates([initial(0), initial(1)])
    told = finished("g0-0", weights_of(0))
    store.add_outcome(told, weights_of(0))
    store.set_values("g0-0", {"test_error": 0.25, "latency_ms": 2.0})
    store.set_values("g0-0", {"latency_ms": 1 / 3})
    with reopened(store, write=True) as again:
        (row, other) = again.rows()
        assert row == again.row("g0-0")
        assert (row.values, row.final) == (told.values, {"test_error": 0.25, "latency_ms": 1 / 3})
        assert (other.values, other.final) == ({}, {})
        with pytest.raises(StoreError, match="g0-1 has no outcome"):
            again.set_values("g0-1", {"test_error": 0.5})
        with pytest.raises(StoreError, match="finite"):
            again.set_values("g0-0", {"test_error": float("inf")})


def test_outcomes_are_revised_together_or_not_at_all(store: RunStore) -> None:
    data = [weights_of(seed) for seed in range(2)]
    store.add_candidates([initial(0), initial(1), initial(2)])
    for slot in range(2):
        store.add_outcome(finished(f"g0-{slot}", data[slot]), data[slot])
        store.set_values(f"g0-{slot}", {"latency_ms": 1.0, "test_error": 0.5})
    before = list(store.rows())
    revised = [dataclasses.replace(row.outcome, status="infeasible") for row in before if row.outcome is not None]
    with pytest.raises(StoreError, match="g0-2 has no outcome"):
        store.revise([*revised, finished("g0-2", data[0])], forget=["latency_ms"], meta={"device": "new"})
    assert list(store.rows()) == before
    store.revise(revised, forget=["latency_ms"], meta={"device": "new"})
    assert [row.outcome for row in store.rows()][:2] == revised
    assert store.row("g0-0").final == {"test_error": 0.5}
    assert store.meta("device") == "new"
    assert store.has_weights(content_hash(data[0]))
    assert not store.has_weights(content_hash(b"others"))


def test_every_latency_is_kept_with_its_device(store: RunStore) -> None:
    for number, kind in enumerate(("search", "final", "search")):
        store.add_measurement("abc", kind, {"median_ms": number / 3}, fingerprint_sha256=f"f{number}", profile_sha256="p")
    with pytest.raises(StoreError, match="CHECK"):
        store.add_measurement("abc", "rumour", {}, fingerprint_sha256="f", profile_sha256="p")
    assert [m.latency["median_ms"] for m in store.measurements()] == [0.0, 1 / 3, 2 / 3]
    assert [(m.fingerprint_sha256, m.kind) for m in store.measurements("search")] == [("f0", "search"), ("f2", "search")]


def test_meta_is_set_and_the_configuration_is_not(store: RunStore) -> None:
    store.set_meta("nominal_ms", 0.25)
    store.set_meta("nominal_ms", 0.5)
    assert store.meta("nominal_ms") == 0.5
    with pytest.raises(StoreError, match="does not change"):
        store.set_meta("config", {})
    with pytest.raises(StoreError, match="no meta value pace"):
        store.meta("pace")
    with pytest.raises(StoreError, match="meta classes must be what JSON can hold"):
        store.set_meta("classes", {1, 2})


def test_collect_keeps_what_is_needed(store: RunStore) -> None:
    parents = [initial(slot) for slot in range(4)]
    store.add_candidates(parents)
    for number in range(4):
        store.add_outcome(finished(f"g0-{number}", weights_of(number)), weights_of(number))
    store.add_candidates([child(parents[1], 1, 0), child(parents[2], 1, 1)])
    store.add_outcome(Outcome(candidate_id="g1-1", status="unfinished"), None)
    (store.folder / "weights" / "abc.tmp").write_bytes(b"interrupted")
    (store.folder / "weights" / f"{'0' * 64}.safetensors").write_bytes(b"never named")
    assert store.collect("all") == 1
    assert store.collect({"g0-0", "g1-0"}) == 1
    assert store.unnamed_weights() == ["0" * 64]  # a part of the database may have been lost
    for number in range(3):
        assert store.weights(content_hash(weights_of(number))) == weights_of(number)
    with pytest.raises(StoreError, match="collected"):
        store.weights(content_hash(weights_of(3)))
    assert store.outcome("g0-3") == finished("g0-3", weights_of(3))


def test_a_reader_changes_nothing(store: RunStore) -> None:
    store.add_candidates([initial(0)])
    with reopened(store) as reader:
        for change in (
            lambda: reader.add_candidates([initial(1)]),
            lambda: reader.add_outcome(finished("g0-0", weights_of(0)), weights_of(0)),
            lambda: reader.set_meta("a", 1),
            lambda: reader.collect("all"),
        ):
            with pytest.raises(StoreError, match="opened for reading"):
                change()
        assert not list((store.folder / "weights").iterdir())


def test_unknown_candidates_are_named(store: RunStore) -> None:
    with pytest.raises(StoreError, match="no candidate g5-0"):
        store.candidate("g5-0")
    with pytest.raises(StoreError, match="no candidate g5-0"):
        store.add_outcome(finished("g5-0", weights_of(0)), weights_of(0))
    with pytest.raises(RunFolderError, match="already holds a run"):
        RunStore.create(store.folder, config="{}", meta={})
