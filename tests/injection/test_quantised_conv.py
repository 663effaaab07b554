"""One filter computed again is, bit by bit, what ONNX Runtime computes of the whole file with other weights."""

from itertools import combinations

import numpy as np
import pytest
from onnx import numpy_helper

from hwnas.deployed import Change
from hwnas.export import convert, emit
from hwnas.injection import QdqSimulator, QdqTarget
from hwnas.injection import quantised_conv as module
from hwnas.injection.quantised_conv import CleanSums, QuantisedConv
from tests.export.samples import images, random_state
from tests.injection.injection_samples import SAMPLES

CASES = ["plain", "residual", "separable", "dense"]
pytestmark = pytest.mark.skipif(not module.sums_are_exact(), reason="8-bit products saturate here, so filters are not computed")


def int8(name: str) -> tuple[QdqTarget, np.ndarray]:
    graph = SAMPLES[name]()
    pictures = images(graph, 16).numpy()
    return QdqTarget(convert(emit(graph, random_state(graph)), "int8", calibration=pictures)), pictures[:5]


def clean_values(bench: QdqTarget, pictures: np.ndarray, changes: tuple[Change, ...] = ()) -> dict[str, np.ndarray]:
    opened = bench.full(outputs=bench.quantised, changes=changes)
    return dict(zip(bench.quantised, opened.run(bench.quantised, {bench.image: pictures}), strict=True))


def sums_of(bench: QdqTarget, conv: QuantisedConv, values: dict[str, np.ndarray]) -> CleanSums:
    found = CleanSums.of(conv, bench.memory.arrays, values)
    assert found is not None
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_hit_filter_is_bit_identical_and_no_other_one_changes(name: str) -> None:
    bench, pictures = int8(name)
    rng, clean, moved = np.random.default_rng(3), clean_values(bench, pictures), 0
    assert len({conv.target for conv in bench.convs.values()}) == sum(node.op_type == "Conv" for node in bench._proto.graph.node)
    for tensor, conv in bench.convs.items():
        size = bench.memory.arrays[tensor].size
        for element, bit in ((0, 0), (int(rng.integers(size)), 3), (size - 1, bench.memory.formats[tensor].bits - 1)):
            index = bench.memory.population.index(tensor=tensor, element=element, bit=bit)
            (change,) = bench.memory.flipped(np.array([index]))
            number, part = sums_of(bench, conv, clean).faulty(change)
            expected = clean[conv.target].copy()
            expected[:, number] = part
            found = clean_values(bench, pictures, (change,))[conv.target]
            np.testing.assert_array_equal(found, expected)
            moved += not np.array_equal(found, clean[conv.target])
    assert moved > len(bench.convs)


def test_words_of_one_filter_are_taken_together_and_words_of_two_are_not_taken() -> None:
    bench, pictures = int8("residual")
    clean, conv = clean_values(bench, pictures), next(conv for conv in bench.convs.values() if conv.stride == (1, 1))
    sums, size = sums_of(bench, conv, clean), bench.memory.arrays[conv.weight][0].size
    pair = Change(tensor=conv.weight, elements=np.array([size, 2 * size - 1]), values=np.array([-128, 127], np.int8))
    number, part = sums.faulty(pair)
    assert number == 1
    np.testing.assert_array_equal(clean_values(bench, pictures, (pair,))[conv.target][:, 1], part)
    apart = Change(tensor=conv.weight, elements=np.array([size - 1, size]), values=np.array([-128, 127], np.int8))
    assert sums.faulty(apart) is None
    engine = QdqSimulator(bench, pictures)
    np.testing.assert_array_equal(engine.weights((apart,)).classes, engine.naive((apart,)).classes)


def tie(bench: QdqTarget, place: int) -> tuple[QdqTarget, str]:
    """A network in which two convolutions of one shape read the same weight (1) or bias (2), the other's scale made to fit."""
    proto, convs = bench._proto, [node for node in bench._proto.graph.node if node.op_type == "Conv"]
    made = {output: node.input for node in proto.graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    first, second = next(
        pair for pair in combinations(convs, 2) if len({tuple(constants[made[node.input[place]][0]].dims) for node in pair}) == 1
    )
    second.input[place] = first.input[place]
    names = [made[name][1] for name in second.input]  # the bias's scale is that of the image times that of the weight
    x, w, b = (numpy_helper.to_array(constants[name]) for name in names)
    fitting = x * w if place == 1 else b / x
    constants[names[3 - place]].CopyFrom(numpy_helper.from_array(np.float32(fitting), names[3 - place]))
    return QdqTarget(proto.SerializeToString()), made[first.input[place]][0]


@pytest.mark.parametrize(("place", "bit"), [(1, 6), (2, 12)])
def test_words_that_two_convolutions_share_are_hit_in_both(place: int, bit: int) -> None:
    separate, pictures = int8("residual")
    bench, tensor = tie(separate, place)
    engine, moved = QdqSimulator(bench, pictures), 0
    size = bench.memory.arrays[tensor].size
    for element in range(0, size, max(1, size // 50)):
        (change,) = bench.memory.flipped(np.array([bench.memory.population.index(tensor=tensor, element=element, bit=bit)]))
        found, expected = engine.weights((change,)), engine.naive((change,))
        np.testing.assert_array_equal(found.classes, expected.classes)
        np.testing.assert_array_equal(found.masked, expected.masked)
        moved += not expected.masked.all()
    assert moved


def test_clean_values_that_do_not_come_out_are_not_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, pictures = int8("plain")
    values, conv = clean_values(bench, pictures), next(iter(bench.convs.values()))
    wrong = values | {conv.target: values[conv.target] + np.uint8(1)}
    assert CleanSums.of(conv, bench.memory.arrays, wrong) is None
    monkeypatch.setattr("hwnas.injection.quantised_conv.sums_are_exact", lambda: False)
    assert CleanSums.of(conv, bench.memory.arrays, values) is None
    (change,) = bench.memory.flipped(np.array([7]))
    engine = QdqSimulator(bench, pictures)
    np.testing.assert_array_equal(engine.weights((change,)).classes, engine.naive((change,)).classes)
