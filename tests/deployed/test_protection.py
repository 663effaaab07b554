"""Shares say where flips are expected to do harm; a guard may keep to the feature maps of the largest."""

from pathlib import Path

import onnx
import pytest

import hwnas
from hwnas.deployed.expected_change import activation_changes, activation_parts, weight_changes, weight_parts
from hwnas.deployed.protection import IMAGES, layer_shares, map_shares
from hwnas.errors import ConfigError
from hwnas.resilience import FLOAT32, INT8
from tests.conftest import Made
from tests.export.samples import images
from tests.injection.injection_samples import SAMPLES, program


@pytest.mark.parametrize("name", ["plain", "residual"])
def test_shares_are_parts_of_one_whole_largest_first(name: str) -> None:
    made = program(SAMPLES[name]())
    pictures = images(made.graph, 8)
    for shares in (map_shares(made, pictures, INT8), layer_shares(made, pictures, FLOAT32)):
        values = [each.share for each in shares]
        assert sum(values) == pytest.approx(1)
        assert values == sorted(values, reverse=True)
        assert len({each.tensor for each in shares}) == len(shares) > 1
        assert all(each.layer.split()[0] in each.tensor or each.layer for each in shares)
    assert {each.tensor for each in map_shares(made, pictures, INT8)} == {step.name for step in made.steps[1:-1]}


def test_the_parts_add_up_to_the_expected_change_itself() -> None:
    made = program(SAMPLES["plain"]())
    pictures = images(made.graph, 4)
    parts = activation_parts(made, pictures, INT8)
    assert sum(parts.values()) == pytest.approx(activation_changes(made, pictures, INT8))
    largest = max(parts, key=lambda name: parts[name].mean())
    assert map_shares(made, pictures, INT8)[0].tensor == largest
    parts = weight_parts(made, pictures, FLOAT32)
    assert sum(parts.values()) == pytest.approx(weight_changes(made, pictures, FLOAT32))


def test_images_are_taken_evenly_and_not_all() -> None:
    made = program(SAMPLES["plain"]())
    some = images(made.graph, IMAGES)
    many = some.repeat_interleave(3, 0)
    assert map_shares(made, many, INT8)[0].share == pytest.approx(map_shares(made, some, INT8)[0].share, rel=0.2)


def test_a_campaign_says_where_harm_is_expected(tiny_run: Made) -> None:
    run = hwnas.open_run(tiny_run.folder)
    model = next(entry.id for entry in run.front())
    (network,) = run.faults(models=[model], faults=("single",), half_width=5.0).networks
    assert sum(each.share for each in network.expected) == pytest.approx(1)
    assert {each.layer for each in network.expected} <= {part.layer for part in network.single.parts}


@pytest.mark.parametrize("top", [1, 2])
def test_a_guard_of_the_most_harmful_maps_clips_no_others(tiny_run: Made, tmp_path: Path, top: int) -> None:
    run = hwnas.open_run(tiny_run.folder)
    model = max(run.front(), key=lambda entry: entry.value("macs") or 0).id
    manifest = run.export(tmp_path / "bundle", models=[model], guard_top=top)
    (guard,) = (file for file in manifest.files if file.guarded)
    named = guard.metadata["guarded"].split(", ")
    assert len(named) == top
    nodes = onnx.load(tmp_path / "bundle" / guard.name).graph.node
    assert sorted(node.output[0] for node in nodes if node.op_type == "Clip" and "_guard_" in node.input[1]) == sorted(named)
    assert all(check.passed for check in hwnas.verify(tmp_path / "bundle"))


def test_a_guard_of_nothing_is_refused(tiny_run: Made, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        hwnas.open_run(tiny_run.folder).export(tmp_path / "bundle", guard_top=0)
    assert not (tmp_path / "bundle").exists()
