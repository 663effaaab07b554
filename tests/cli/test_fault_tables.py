"""What ``hwnas faults`` prints: a line a network, pairs of few networks, the standing of many, and now and then where it is."""

from dataclasses import replace

import numpy as np
import pytest

from hwnas.api import stage_listener
from hwnas.campaign import Examples, FaultReport, FaultSettings, Stage, Subject, report, study
from hwnas.cli.fault_tables import PAIRS, legend, protect_table, remarks, tables
from hwnas.injection import TorchTarget
from hwnas.resilience import Difference
from tests.injection.injection_samples import batch, program, tiny


@pytest.fixture(scope="module")
def found() -> FaultReport:
    made = program(tiny())
    pictures = batch(tiny(), 12)
    labels = made.run(pictures).argmax(1).numpy()
    subject = Subject(name="a", bench=lambda: TorchTarget(made))
    settings = FaultSettings(images=6, bers=(1e-4, 1e-1), half_width=20.0)
    return study(
        [subject], Examples(images=pictures.numpy(), labels=labels), settings, ["single", "ber"], folder=None,
        watch=lambda stage: None,
    )  # fmt: skip


def many(found: FaultReport, count: int) -> FaultReport:
    return report([replace(found.networks[0], model=f"m{number}") for number in range(count)])


def test_every_network_has_a_line_and_every_line_its_columns(found: FaultReport) -> None:
    for count in (1, 2, PAIRS + 1):
        for headings, rows in tables(many(found, count)):
            assert all(len(row) == len(headings) for row in rows)
    single, device, groups, protect, pairs = tables(many(found, 3))
    assert [row[0] for row in protect[1]] == [name for network in many(found, 3).networks for name in (network.model, "", "")]
    assert [len(rows) for _, rows in (single, device, groups, pairs)] == [3, 3, 3, 6]
    assert single[1][0][-1] == str(found.networks[0].single.faults)
    only = report([replace(found.networks[0], single=None)])
    assert [headings[-1] for headings, _ in tables(only)] == ["trials", "share of expected change"]
    assert "device at 1e-6, points" not in tables(only)[0][0]


def test_what_to_protect_is_told_by_what_is_expected_and_by_what_was_measured(found: FaultReport) -> None:
    (network,) = found.networks
    layers = [part for part in network.single.parts if part.group == "all"]
    assert sum(part.share.value for part in layers) == pytest.approx(1)
    titles, rows = protect_table(found)
    assert titles[2:4] == ["share of expected change", "share of measured change"]
    assert [row[1] for row in rows] == [each.layer for each in network.expected[: len(rows)]]
    by_layer = {part.layer: part.share for part in layers}
    for row in rows:
        is_wide = by_layer[row[1]].high - by_layer[row[1]].low > 0.5
        assert row[3] == "?" if is_wide else row[3].startswith(f"{100 * by_layer[row[1]].value:.0f} [")
    measured = [row[1] for row in protect_table(report([replace(network, expected=())]))[1]]
    assert measured[0] == max(layers, key=lambda part: part.share.value).layer  # gradients are not known of every file


def test_figures_that_stopped_at_the_limit_of_trials_say_so(found: FaultReport) -> None:
    (network,) = found.networks
    limited = report([replace(network, curve=replace(network.curve, limited=True))])
    assert tables(limited)[1][1][0][-1] == f"{network.curve.trials} (limit)"
    (remark,) = remarks(limited, ["single", "ber"])
    assert "a: the area stopped at the limit" in remark
    assert not remarks(found, ["single", "ber"], 20.0)
    (remark,) = remarks(found, ["single", "ber"], network.single.drop.half_width / 2)
    assert remark.startswith(f"a: the mean drop stopped at the limit of {network.single.faults} faults")


def test_of_many_networks_the_standing_is_told(found: FaultReport) -> None:
    count = PAIRS + 1
    base = many(found, count)
    estimate = base.by_drop[0].estimate
    drops = tuple(
        Difference(first=i, second=j, estimate=replace(estimate, value=float(i - j)), p_value=0.0, p_holm=0.0)
        for i in range(count)
        for j in range(i + 1, count)
    )  # m0 drops least, m6 most
    _, rows = tables(replace(base, by_drop=drops, by_area=()))[-1]
    assert len(rows) == count
    assert rows[0] == ["m0", str(count - 1), "0"]
    assert rows[-1] == [f"m{count - 1}", "0", str(count - 1)]
    assert rows[2][1:3] == [str(count - 3), "2"]
    areas = tuple(replace(each, estimate=replace(estimate, value=-each.estimate.value)) for each in drops)
    assert tables(replace(base, by_drop=drops, by_area=areas))[-1][1][2][1:] == [str(count - 3), "2"] * 2
    assert any("--json" in remark for remark in remarks(base, ["single"]))


def test_a_network_without_a_curve_leaves_the_others_compared(found: FaultReport) -> None:
    (network,) = found.networks
    for count in (PAIRS, PAIRS + 1):
        named = [replace(network, model=f"m{number}") for number in range(count)]
        base = report([named[0], replace(named[1], curve=None), *named[2:]])
        assert len(base.by_area) == (count - 1) * (count - 2) / 2
        assert {number for pair in base.by_area for number in (pair.first, pair.second)} == {0, *range(2, count)}
        rows = tables(base)[-1][1]
        if count > PAIRS:
            assert [row[3:] for row in rows[:3]] == [["0", "0"], ["", ""], ["0", "0"]]
        else:
            assert ["m0 - m2", "area"] in [row[:2] for row in rows]


def test_progress_is_told_now_and_then_for_each_network(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = 0.0, []
    monkeypatch.setattr("hwnas.api.fault_files.monotonic", lambda: now)
    watch = stage_listener(said.append)
    for now in np.arange(0.0, 10.0, 0.5).tolist():
        for model in "ab":
            watch(Stage(model=model, what="single", faults=int(now), estimate=None))
    assert [line[0] for line in said].count("a") == [line[0] for line in said].count("b") == 5


def test_the_words_of_the_tables_are_explained(found: FaultReport) -> None:
    text = "\n".join(legend(many(found, 2)))
    for heading in ("points", "CCR", "critical", "DUE", "area", "half at BER", "device at 1e-6", "p after Holm", "real"):
        assert heading in text
        assert any(heading in title for titles, _ in tables(many(found, 2)) for title in titles), heading
    single = report([replace(found.networks[0], curve=None)])
    assert "area" not in "\n".join(legend(single))
