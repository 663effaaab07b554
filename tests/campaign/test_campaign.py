"""Campaigns: stopped and gone on with they are one campaign; their figures hold the exhaustive truth."""

import json
from pathlib import Path

import numpy as np
import pytest

from hwnas.campaign import Campaign, Examples, FaultSettings, Stage, Subject, as_json, report, single_result, study, trained
from hwnas.campaign.settings import fault_settings
from hwnas.deployed import Program
from hwnas.errors import ConfigError, DataError, StoreError
from hwnas.injection import NaiveSimulator, TorchTarget, effect
from hwnas.resilience import FLOAT32, TrialPlan
from tests.export.samples import random_state, statistics
from tests.injection.injection_samples import SAMPLES, batch, labels_of, program, tiny, tiny_program


def silent(stage: Stage) -> None:
    pass


def examples(made: Program, count: int = 12) -> Examples:
    pictures = batch(made.graph, count)
    return Examples(images=pictures.numpy(), labels=labels_of(made, pictures))


def campaign(made: Program, **settings) -> Campaign:
    return Campaign("m", TorchTarget(made), examples(made), FaultSettings(images=6, **settings))


class Enough(Exception):
    """Stops a campaign as Ctrl-C would."""


def stop_after(faults: int):
    def watch(stage: Stage) -> None:
        if stage.faults >= faults:
            raise Enough

    return watch


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_stopped_campaign_goes_on_as_if_it_had_not_been(tmp_path: Path, target: str) -> None:
    made = program(SAMPLES["flat"]())
    whole = campaign(made, target=target, half_width=3.0, max_faults=1200).single(tmp_path / "whole.jsonl", silent)
    path = tmp_path / "part.jsonl"
    with pytest.raises(Enough):
        campaign(made, target=target, half_width=3.0, max_faults=1200).single(path, stop_after(len(whole.rows) // 2))
    with path.open("a") as file:
        file.write('{"bit": 3, "dr')  # killed while writing
    after = campaign(made, target=target, half_width=3.0, max_faults=1200).single(path, silent)
    assert json.dumps(after.rows) == json.dumps(whole.rows)
    assert path.read_text() == (tmp_path / "whole.jsonl").read_text()


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_campaign_whose_limit_is_raised_goes_on_as_if_it_had_had_it(tmp_path: Path, target: str) -> None:
    made = program(SAMPLES["flat"]())
    whole = campaign(made, target=target, half_width=0.01, max_faults=1500).single(tmp_path / "whole.jsonl", silent)
    path, rows = tmp_path / "part.jsonl", 0
    for limit in (700, 1100, 700, 1500):  # a smaller one keeps what was tried
        found = campaign(made, target=target, half_width=0.01, max_faults=limit).single(path, silent)
        assert len(found.rows) >= max(rows, limit)
        rows = len(found.rows)
    assert path.read_text() == (tmp_path / "whole.jsonl").read_text()
    assert single_result(found) == single_result(whole)


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_stopped_curve_goes_on_as_if_it_had_not_been(tmp_path: Path, target: str) -> None:
    made = program(SAMPLES["flat"]())
    asked = {"target": target, "fault": "ber", "bers": (1e-5, 1e-3, 1e-1), "half_width": 4.0}
    whole = campaign(made, **asked).curve(tmp_path / "whole.jsonl", silent)
    path, calls = tmp_path / "part.jsonl", iter(range(20))

    def check() -> None:
        if next(calls, None) is None:
            raise Enough

    with pytest.raises(Enough):
        Campaign("m", TorchTarget(made), examples(made), FaultSettings(images=6, **asked), check).curve(path, silent)
    assert 10 < len(path.read_text().splitlines()) < len(whole.rows)
    after = campaign(made, **asked).curve(path, silent)
    assert path.read_text() == (tmp_path / "whole.jsonl").read_text()
    assert after.curve.area() == whole.curve.area()
    wider = campaign(made, **asked | {"half_width": 30.0}).curve(path, silent)
    assert wider.curve.area() == whole.curve.area()  # what was tried counts
    assert not wider.limited
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[2], lines[1], *lines[3:]]))
    with pytest.raises(StoreError, match="was drawn"):
        campaign(made, **asked).curve(path, silent)


def test_a_curve_with_more_trials_than_are_drawn_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, path, plan = program(SAMPLES["flat"]()), tmp_path / "c.jsonl", TrialPlan(limit=100)
    asked = {"fault": "ber", "bers": (1e-5, 1e-3, 1e-1), "half_width": 0.1}
    monkeypatch.setattr("hwnas.campaign.trials.TrialPlan", lambda: plan)
    assert campaign(made, **asked).curve(path, silent).limited
    before = path.read_text()
    path.write_text(before + before.splitlines(keepends=True)[-1])
    with pytest.raises(StoreError, match="101 rows where no more than 100"):
        campaign(made, **asked).curve(path, silent)


def test_every_fault_before_a_stop_is_kept(tmp_path: Path) -> None:
    made, path, calls = program(SAMPLES["flat"]()), tmp_path / "c.jsonl", iter(range(2 + 40))  # two clean passes, then faults

    def check() -> None:
        if next(calls, None) is None:
            raise Enough

    settings = FaultSettings(images=6, half_width=3.0)
    with pytest.raises(Enough):
        Campaign("m", TorchTarget(made), examples(made), settings, check).single(path, silent)
    assert len(path.read_text().splitlines()) == 1 + 40
    campaign(made, half_width=3.0).single(path, silent)
    campaign(made, half_width=3.0).single(tmp_path / "whole.jsonl", silent)
    assert path.read_text() == (tmp_path / "whole.jsonl").read_text()


def test_clean_passes_are_made_once_where_memory_allows_and_else_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made, before = program(SAMPLES["flat"]()), []

    class Counting(TorchTarget):
        def engine(self, images):
            before.append(images.tobytes())
            return super().engine(images)

    def rows(**asked) -> list:
        before.clear()
        settings = FaultSettings(images=6, half_width=0.3, **asked)
        tried = Campaign("m", Counting(made), examples(made, 130 if asked else 24), settings)
        tried.clean_error()
        return (tried.curve if asked else tried.single)(None, silent).rows

    whole = rows()
    assert len(before) == len(set(before)) == 4
    assert whole[-1]["batch"] > 4  # every micro-batch came, some twice
    elements = sum(tensor.size for tensor in made.activations.tensors)
    monkeypatch.setattr("hwnas.campaign.images.KEPT_BYTES", 8 * elements * 13)  # room for two
    assert rows() == whole
    assert len(set(before)) == 4 < len(before)
    assert before.count(before[0]) == 1  # the first is kept
    assert len(rows(fault="ber", bers=(1e-4, 1e-2))) > 4
    assert len(before) == 2  # each trial of a curve meets the next part: all are kept


def test_a_campaign_that_lost_part_of_a_batch_tries_the_rest(tmp_path: Path) -> None:
    made, path = program(SAMPLES["flat"]()), tmp_path / "c.jsonl"
    campaign(made, half_width=3.0).single(path, silent)
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:40]))
    campaign(made, half_width=3.0).single(path, silent)
    assert path.read_text() == whole


def test_rows_can_be_replayed_fault_by_fault() -> None:
    made = program(SAMPLES["flat"]())
    tried = campaign(made, half_width=5.0)
    rows = tried.single(None, silent).rows
    population = made.memory.population
    for row in rows[::20]:
        assert population.index(tensor=row["tensor"], element=row["index"], bit=row["bits"][0]) == row["bit"]
        array = made.memory.arrays[row["tensor"]].reshape(-1)
        assert float(array[row["index"]]) == row["old"]
        (change,) = made.memory.flipped(np.array([row["bit"]]))
        assert float(row["new"]) == float(change.values[0]) or np.isnan(float(change.values[0]))
        before = int(FLOAT32.words(array)[row["index"]]) >> row["bits"][0] & 1
        assert row["direction"] == f"{before}->{1 - before}"


def test_the_mean_drop_holds_the_exhaustive_truth() -> None:
    made = tiny_program()
    bench, data, settings = TorchTarget(made), examples(made), FaultSettings(images=12, half_width=0.4, seed=1)
    found = single_result(Campaign("m", bench, data, settings).single(None, silent))
    order = np.random.default_rng([1, 2]).permutation(12)
    naive = NaiveSimulator(made, batch(made.graph, 12)[order.tolist()])
    labels, clean = data.labels[order], naive.clean.classes
    truth = [
        effect(naive.weights(made.memory.flipped(np.array([bit]))), clean, labels) for bit in range(made.memory.population.size)
    ]
    assert found.drop.low <= np.mean([each.drop for each in truth]) <= found.drop.high
    assert found.changed.low <= np.mean([each.changed for each in truth]) <= found.changed.high
    assert found.critical.low <= np.mean([each.drop > 1 for each in truth]) <= found.critical.high
    assert found.unrecoverable.low <= np.mean([each.unrecoverable for each in truth]) <= found.unrecoverable.high
    assert found.device_drop.value == pytest.approx(found.drop.value * found.bits * 1e-6)
    layers = {part.layer for part in found.parts} - {"all"}
    assert sum(part.bits for part in found.parts if part.layer in layers and part.group == "all") == found.bits


def test_the_most_that_a_fault_can_change_is_not_told_by_one_micro_batch() -> None:
    made = program(SAMPLES["flat"]())
    data, settings = examples(made), FaultSettings(images=6, half_width=20.0)
    order = np.random.default_rng([settings.seed, 2]).permutation(12)
    data.labels[order[:5]] = (data.labels[order[:5]] + 1) % 3  # of the first six one is right, of all twelve seven are
    plan = Campaign("m", TorchTarget(made), data, settings).single(None, silent).sampler.plan
    assert plan.largest_value == pytest.approx(100 * 7 / 12)


def test_more_errors_are_worse_and_trials_are_shared_by_networks(tmp_path: Path) -> None:
    subjects = []
    for seed, name in enumerate("ab"):
        graph = tiny()
        mean, std = statistics(graph)
        subjects.append(trained(name, graph, random_state(graph, seed), "float32", mean=mean, std=std))
    pictures = batch(tiny(), 12)
    data = Examples(images=pictures.numpy(), labels=np.array([0, 1, 2] * 4))
    settings = FaultSettings(images=6, bers=(1e-4, 1e-2, 0.3), half_width=20.0)
    data = Examples(images=data.images, labels=np.zeros(12, np.int64))
    benches = [subject.bench() for subject in subjects]
    labels = benches[0].engine(data.images).classes.astype(np.int64)
    if len(set(labels.tolist()) | {0}) == 1 or (benches[1].engine(data.images).classes == labels).mean() <= 1 / 3:
        labels = np.where(np.arange(12) % 2 == 0, labels, benches[1].engine(data.images).classes)
    found = study(
        subjects, Examples(images=data.images, labels=labels), settings, ["single", "ber"], folder=tmp_path, watch=silent
    )
    curve = found.networks[0].curve
    assert curve is not None
    accuracies = [each.value for each in curve.summary.accuracies]
    assert accuracies[0] > accuracies[-1]
    assert 0 <= curve.summary.area.value <= 1.01
    assert len(found.by_drop) == len(found.by_area) == 1
    assert len(list(tmp_path.glob("*.jsonl"))) == 4
    text = json.dumps(as_json(found, {}), allow_nan=False)
    assert json.loads(text)["networks"][0]["rows"]


def test_a_network_at_chance_has_no_curve_and_stops_no_other() -> None:
    made = [program(tiny(), seed=seed) for seed in range(8)]
    pictures = batch(tiny(), 12)
    labels = made[0].run(pictures).argmax(1).numpy()
    right = [float((each.run(pictures).argmax(1).numpy() == labels).mean()) for each in made]
    assert min(right) <= 1 / 3
    chosen = {"0": 0, "least": int(np.argmin(right)), "again": 0}
    subjects = [Subject(name=name, bench=lambda n=n: TorchTarget(made[n])) for name, n in chosen.items()]
    settings = FaultSettings(images=6, bers=(1e-3, 1e-1), half_width=20.0)
    found = study(subjects, Examples(images=pictures.numpy(), labels=labels), settings, ["ber"], folder=None, watch=silent)
    assert [network.curve is None for network in found.networks] == [False, True, False]
    (pair,) = found.by_area
    assert (pair.first, pair.second, pair.estimate.value) == (0, 2, 0.0)


def subjects_named(*names: str) -> list[Subject]:
    made = [program(SAMPLES["flat"](), seed=seed) for seed in range(len(names))]
    return [Subject(name=name, bench=lambda each=each: TorchTarget(each)) for name, each in zip(names, made, strict=True)]


def test_networks_at_a_time_change_no_figure(tmp_path: Path) -> None:
    subjects, data = subjects_named("a", "b", "c"), examples(program(SAMPLES["flat"]()))
    settings = FaultSettings(images=6, bers=(1e-4, 1e-2), half_width=8.0)
    one, two = (
        study(subjects, data, settings, ["single", "ber"], folder=tmp_path / str(threads), watch=silent, threads=threads)
        for threads in (1, 2)
    )
    assert json.dumps(as_json(one, {})) == json.dumps(as_json(two, {}))
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()


def test_what_stops_one_network_stops_all_and_the_same_call_goes_on(tmp_path: Path) -> None:
    subjects, data = subjects_named("a", "b", "c"), examples(program(SAMPLES["flat"]()))
    settings = FaultSettings(images=6, half_width=1.0)

    def stopping(stage: Stage) -> None:
        if stage.model == "b":
            raise Enough

    with pytest.raises(Enough):
        study(subjects, data, settings, ["single"], folder=tmp_path, watch=stopping, threads=2)
    assert 0 < len((tmp_path / "b-float32-weights-single-seed0.jsonl").read_text().splitlines()) < 200
    resumed = study(subjects, data, settings, ["single"], folder=tmp_path, watch=silent, threads=2)
    whole = study(subjects, data, settings, ["single"], folder=None, watch=silent)
    assert json.dumps(as_json(resumed, {})) == json.dumps(as_json(whole, {}))


def test_networks_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names must differ"):
        study(subjects_named("a", "a"), examples(program(tiny())), FaultSettings(), ["single"], folder=tmp_path, watch=silent)
    assert not list(tmp_path.iterdir())


def test_the_file_of_another_model_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    campaign(program(SAMPLES["flat"]()), half_width=5.0).single(path, silent)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another model"):
        campaign(program(SAMPLES["flat"](), seed=1), half_width=5.0).single(path, silent)
    with pytest.raises(ConfigError, match="another campaign"):
        campaign(program(SAMPLES["flat"]()), half_width=5.0, seed=5).single(path, silent)
    made = program(SAMPLES["flat"]())
    data = examples(made)
    brighter = Examples(images=data.images.copy(), labels=data.labels)
    brighter.images[3, 0, 2, 1] += 0.01
    with pytest.raises(ConfigError, match="another data set"):
        Campaign("m", TorchTarget(made), brighter, FaultSettings(images=6, half_width=5.0)).single(path, silent)
    assert path.read_bytes() == before
    path.write_text("no json\n")
    with pytest.raises(ConfigError, match="not a campaign file"):
        campaign(program(SAMPLES["flat"]()), half_width=5.0).single(path, silent)


def test_rows_that_the_campaign_never_drew_are_refused(tmp_path: Path) -> None:
    path, made = tmp_path / "c.jsonl", program(SAMPLES["flat"]())
    campaign(made, half_width=5.0).single(path, silent)
    lines = path.read_text().splitlines()
    wrong = {**json.loads(lines[1]), "bit": made.memory.population.size - 1}
    path.write_text("\n".join([lines[0], json.dumps(wrong), *lines[2:], ""]))
    with pytest.raises(StoreError):
        campaign(made, half_width=5.0).single(path, silent)


def test_data_that_do_not_fit_are_refused() -> None:
    made = program(SAMPLES["flat"]())
    data = examples(made)
    with pytest.raises(DataError, match="shape"):
        Campaign("m", TorchTarget(made), Examples(images=data.images[:, :, :4], labels=data.labels), FaultSettings())
    with pytest.raises(DataError, match="classes"):
        Campaign("m", TorchTarget(made), Examples(images=data.images, labels=data.labels + 100), FaultSettings())
    wrong = Examples(images=data.images, labels=(data.labels + 1) % 10)
    with pytest.raises(DataError, match="chance"):
        Campaign("m", TorchTarget(made), wrong, FaultSettings(fault="ber")).curve(None, silent)


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({"bers": "1e-6,2"}, ["ber"]),
        ({"bers": "1e-18,1e-6"}, ["ber"]),
        ({"bers": "x"}, ["ber"]),
        ({"bers": (1e-3, 1e-4)}, ["ber"]),
        ({"dtype": "int4"}, ["single"]),
        ({"target": "weights"}, ["melt"]),
        ({"target": "biases"}, ["ber"]),
        ({"half_width": float("nan")}, ["single"]),
        ({"speed": 3}, ["single"]),
        ({}, []),
    ],
)
def test_wrong_settings_are_refused(given: dict, faults: list[str]) -> None:
    with pytest.raises(ConfigError):
        fault_settings(given, faults)


def test_a_report_of_one_network_compares_nothing() -> None:
    made = program(SAMPLES["flat"]())
    subject = Subject(name="m", bench=lambda: TorchTarget(made))
    found = study([subject], examples(made), FaultSettings(images=6, half_width=5.0), ["single"], folder=None, watch=silent)
    assert report(found.networks) == found
    assert not found.by_drop
