"""The analytic accelerator, against closed forms for networks that can be worked by hand."""

import dataclasses

import pytest
from hypothesis import given

from hwnas.device import load_profile
from hwnas.errors import ProfileError
from hwnas.estimate import Accelerator
from hwnas.graph import Graph, layer_costs
from tests.chains import grown_graphs
from tests.graphs import Builder, plain, residual

HUGE = 1e15
# 10 operations a cycle at 1 kHz; a value is 2 bytes.
BASE = Accelerator(macs_per_cycle=10, clock_hz=1e3, on_chip_bytes=HUGE, bytes_per_second=HUGE, word_bytes=2)


def one_layer() -> Graph:
    """A convolution of 2 to 4 channels on 6 x 6 (8 values in a filter's window x 9), a pool and a linear layer of 3."""
    builder = Builder(2, 6, 6)
    builder.conv(4)
    return builder.head(3)


CONV = {"macs": 36 * 4 * 2 * 9, "input": 72, "weights": 4 * 18 + 4, "output": 144}
POOL = {"reads": 144, "output": 4}
LINEAR = {"macs": 12, "input": 4, "weights": 15, "output": 3}


def test_with_endless_bandwidth_only_operations_count() -> None:
    operations = CONV["macs"] + POOL["reads"] + LINEAR["macs"]
    assert BASE.latency_ms(one_layer()) == pytest.approx(1e3 * operations / 1e4)


def test_what_fits_on_chip_moves_image_and_logits_alone() -> None:
    accelerator = dataclasses.replace(BASE, clock_hz=HUGE, bytes_per_second=1e3)
    assert accelerator.latency_ms(one_layer()) == pytest.approx(1e3 * 2 * (CONV["input"] + LINEAR["output"]) / 1e3)


def test_weights_stream_where_they_do_not_all_fit_beside_the_activations() -> None:
    together = 2 * (CONV["weights"] + LINEAR["weights"] + CONV["input"] + CONV["output"])
    resident = dataclasses.replace(BASE, clock_hz=HUGE, bytes_per_second=1e3, on_chip_bytes=together)
    streamed = dataclasses.replace(resident, on_chip_bytes=together - 1)
    more = 2 * (CONV["weights"] + LINEAR["weights"])
    assert streamed.latency_ms(one_layer()) - resident.latency_ms(one_layer()) == pytest.approx(more)


def test_a_tensor_of_too_large_a_working_set_is_written_and_read_off_chip() -> None:
    conv = 2 * (CONV["input"] + CONV["weights"] + CONV["output"])
    fits = dataclasses.replace(BASE, clock_hz=HUGE, bytes_per_second=1e3, on_chip_bytes=conv)
    spills = dataclasses.replace(fits, on_chip_bytes=conv - 1)
    # The convolution's output crosses twice: the pool that reads it would have fitted.
    assert spills.latency_ms(one_layer()) - fits.latency_ms(one_layer()) == pytest.approx(2 * 2 * CONV["output"])


def test_a_tensor_whose_reader_does_not_fit_is_written_off_chip() -> None:
    builder = Builder(1, 4, 4)
    builder.conv(2, kernel=1)  # 16 values in, 32 out
    builder.conv(64)  # 32 in, 1024 out, with 1,216 weights
    graph = builder.head(10)
    accelerator = dataclasses.replace(BASE, clock_hz=HUGE, bytes_per_second=1e3, on_chip_bytes=2 * 1200)
    weights = sum(layer.weight_elements for layer in layer_costs(graph))
    assert accelerator.latency_ms(graph) == pytest.approx(2 * (16 + 2 * 32 + 2 * 1024 + 10 + weights))


def test_with_no_memory_every_value_moves() -> None:
    accelerator = dataclasses.replace(BASE, clock_hz=HUGE, bytes_per_second=1e3, on_chip_bytes=1)
    for graph in (one_layer(), plain(), residual()):
        moved = sum(layer.input_elements + layer.weight_elements + layer.output_elements for layer in layer_costs(graph))
        assert accelerator.latency_ms(graph) == pytest.approx(2 * moved)


def test_each_computation_takes_the_longer_of_its_two_times() -> None:
    conv = CONV["macs"] / 1e4
    linear = 2 * LINEAR["output"] / 2.0  # bytes over bytes a second; its 12 MACs take 1.2 ms
    accelerator = dataclasses.replace(BASE, bytes_per_second=2.0)
    image = 2 * CONV["input"] / 2.0
    assert accelerator.latency_ms(one_layer()) == pytest.approx(1e3 * (max(conv, image) + POOL["reads"] / 1e4 + linear))


@given(grown_graphs())
def test_more_of_anything_is_never_slower(graph: Graph) -> None:
    start = Accelerator(macs_per_cycle=168, clock_hz=2e8, on_chip_bytes=2048, bytes_per_second=4.8e8, word_bytes=2)
    latency_ms = start.latency_ms(graph)
    assert latency_ms > 0
    for name in ("macs_per_cycle", "clock_hz", "on_chip_bytes", "bytes_per_second"):
        better = dataclasses.replace(start, **{name: 3 * getattr(start, name)})
        assert better.latency_ms(graph) <= latency_ms
    assert dataclasses.replace(start, word_bytes=4).latency_ms(graph) >= latency_ms


def test_the_numbers_come_from_the_profile() -> None:
    accelerator = Accelerator.of(load_profile("example-accelerator"))
    assert (accelerator.macs_per_cycle, accelerator.clock_hz, accelerator.word_bytes) == (168, 200e6, 2)
    assert accelerator.latency_ms(one_layer()) == pytest.approx(
        1e3 * (max(CONV["macs"] / 168 / 200e6, 2 * 72 / 0.48e9) + 144 / 168 / 200e6 + max(12 / 168 / 200e6, 6 / 0.48e9))
    )


def test_a_profile_of_a_real_device_has_no_such_numbers() -> None:
    with pytest.raises(ProfileError, match="processing_elements"):
        Accelerator.of(load_profile("local-cpu"))
