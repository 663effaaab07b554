"""Every kind of inheritance record against an independent formula."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hwnas.errors import MorphismError
from hwnas.graph import Conv, Graph
from hwnas.morphism.from_scratch import from_scratch
from hwnas.morphism.inheritance import (
    Axis,
    Calibrated,
    Chosen,
    Constant,
    Factorised,
    Fresh,
    Gap,
    Identity,
    Inheritance,
    Keep,
    Record,
    Segment,
    Slice,
    TopK,
)
from hwnas.network import Network, State, transfer
from tests.export.samples import random_state
from tests.graphs import SAMPLES, Builder


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_conv(out: int, inputs: int, kernel: int, groups: int = 1) -> Graph:
    """Node 2 is a convolution of that shape, node 5 the linear layer."""
    b = Builder(inputs, 5, 5)
    b.add(Conv(out_channels=out, kernel=kernel, padding=kernel // 2, groups=groups))
    return b.head(classes=2)


def made(graph: Graph, records: tuple[Record, ...], parent: State, *sets: TopK, seed: int = 0) -> Tensor:
    """What the plan makes of ``2.weight``; everything else is inherited or afresh."""
    rest = [Fresh(tensor=name) for name in graph.tensors() if name != "2.weight" and not is_inherited(graph, name, parent)]
    plan = Inheritance(exact=False, records=records + tuple(rest), index_sets=sets)
    return transfer([(graph, plan)], parent, generator(seed))["2.weight"]


def is_inherited(graph: Graph, name: str, parent: State) -> bool:
    return name in parent and tuple(parent[name].shape) == graph.tensors()[name]


# ------------------------------------------------------------------------------------------------------------- slices


@st.composite
def axes(draw: st.DrawFn, length: int, chosen: int) -> list[Segment]:
    """Segments that read a source axis of ``length``; the index set "kept" names ``chosen`` blocks of one."""
    segments: list[Segment] = []
    for kind in draw(st.lists(st.sampled_from(["keep", "gap", "chosen"]), min_size=1, max_size=3)):
        if kind == "keep":
            start = draw(st.integers(0, length - 1))
            segments.append(Keep(start=start, stop=draw(st.integers(start + 1, length))))
        elif kind == "gap":
            segments.append(Gap(count=draw(st.integers(1, 3))))
        elif chosen:
            segments.append(Chosen(index_set="kept", start=0))
    return segments or [Keep(start=0, stop=length)]


def read_positions(segments: list[Segment], kept: list[int]) -> list[int | None]:
    """For each entry of the child's axis the source's entry, None in a gap."""
    positions: list[int | None] = []
    for segment in segments:
        if isinstance(segment, Gap):
            positions += [None] * segment.count
        elif isinstance(segment, Keep):
            positions += list(range(segment.start, segment.stop))
        else:
            for index in kept:
                positions += [segment.start + index * segment.block + place for place in range(segment.block)]
    return positions


@given(data=st.data(), fill=st.sampled_from(["zeros", "ones"]))
def test_slices_entry_by_entry(data: st.DataObject, fill: str) -> None:
    source = torch.randn(4, 4, 3, 3, generator=generator(data.draw(st.integers(0, 99))))
    count = data.draw(st.integers(1, 4))
    norms = source.abs().sum((1, 2, 3)).numpy()
    kept = sorted(np.argsort(-norms)[:count].tolist())
    rows, columns = data.draw(axes(4, count)), data.draw(axes(4, count))
    row_of, column_of = read_positions(rows, kept), read_positions(columns, kept)
    graph = one_conv(len(row_of), len(column_of), 3)
    record = Slice(
        tensor="2.weight",
        source="2.weight",
        axes=(Axis(axis=0, segments=tuple(rows)), Axis(axis=1, segments=tuple(columns))),
        fill="ones" if fill == "ones" else "zeros",
    )
    uses = any(isinstance(segment, Chosen) for segment in rows + columns)
    sets = [TopK(name="kept", source="2.weight", count=count)] if uses else []
    child = made(graph, (record,), {"2.weight": source}, *sets)
    for (place, row), (other, column) in itertools.product(enumerate(row_of), enumerate(column_of)):
        if row is not None and column is not None:
            expected = source[row, column]
        else:  # new filters hold the fill; a new input of an old filter holds 0, whatever the fill
            expected = torch.full((3, 3), 1.0 if fill == "ones" and row is None else 0.0)
        assert torch.equal(child[place, other], expected)


def test_an_enlarged_kernel_has_a_zero_border() -> None:
    source = torch.randn(3, 2, 3, 3, generator=generator())
    ring = (Gap(count=1), Keep(start=0, stop=3), Gap(count=1))
    record = Slice(tensor="2.weight", source="2.weight", axes=(Axis(axis=2, segments=ring), Axis(axis=3, segments=ring)))
    child = made(one_conv(3, 2, 5), (record,), {"2.weight": source})
    assert torch.equal(child, torch.nn.functional.pad(source, (1, 1, 1, 1)))


def test_chosen_blocks_behind_a_flatten() -> None:
    """Channels 3 and 1 of four survive; each is a block of 9 columns of the linear layer."""
    b = Builder(1, 3, 3)
    b.add(Conv(out_channels=2, kernel=3, padding=1))
    child = b.head(classes=2, pool=False)
    linear = torch.arange(2 * 36.0).reshape(2, 36)
    filters = torch.tensor([1.0, 5.0, 2.0, 6.0]).reshape(4, 1, 1, 1).expand(4, 1, 3, 3)
    whole, cut = Chosen(index_set="kept", start=0), Chosen(index_set="kept", start=0, block=9)
    plan = Inheritance(
        exact=False,
        records=(
            Slice(tensor="2.weight", source="2.weight", axes=(Axis(axis=0, segments=(whole,)),)),
            Slice(tensor="4.weight", source="4.weight", axes=(Axis(axis=1, segments=(cut,)),)),
        ),
        index_sets=(TopK(name="kept", source="2.weight", count=2),),
    )
    state = transfer([(child, plan)], {"2.weight": filters, "4.weight": linear, "4.bias": torch.zeros(2)}, generator())
    assert state["2.weight"][:, 0, 0, 0].tolist() == [5.0, 6.0]
    assert torch.equal(state["4.weight"], torch.cat([linear[:, 9:18], linear[:, 27:36]], 1))


def test_fresh_filters_are_he_and_old_filters_read_new_inputs_as_zero() -> None:
    source = torch.randn(4, 32, 3, 3, generator=generator())
    wider = Axis(axis=0, segments=(Keep(start=0, stop=4), Gap(count=60)))
    deeper = Axis(axis=1, segments=(Keep(start=0, stop=32), Gap(count=8)))
    record = Slice(tensor="2.weight", source="2.weight", axes=(wider, deeper), fill="fresh")
    child = made(one_conv(64, 40, 3), (record,), {"2.weight": source}, seed=3)
    assert torch.equal(child[:4, :32], source)
    assert not child[:4, 32:].any()
    assert child[4:].std().item() == pytest.approx(math.sqrt(2 / (40 * 9)), rel=0.02)


@pytest.mark.parametrize(
    ("segments", "message"),
    [((Keep(start=0, stop=3),), "has 3 of 4"), ((Keep(start=0, stop=4), Gap(count=1)), "has 5 of 4"),
     ((Keep(start=2, stop=6),), "reads up to 6 of 4")],
)  # fmt: skip
def test_segments_that_do_not_fit(segments: tuple[Segment, ...], message: str) -> None:
    record = Slice(tensor="2.weight", source="2.weight", axes=(Axis(axis=0, segments=segments),))
    with pytest.raises(MorphismError, match=message):
        made(one_conv(4, 2, 3), (record,), {"2.weight": torch.zeros(4, 2, 3, 3)})


# -------------------------------------------------------------------------------------------------- the other records


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_top_k_settles_ties_by_the_lower_index(count: int) -> None:
    source = torch.tensor([2.0, -3.0, 3.0, -2.0]).reshape(4, 1, 1, 1)
    whole = Axis(axis=0, segments=(Chosen(index_set="kept", start=0),))
    record = Slice(tensor="2.weight", source="2.weight", axes=(whole,))
    child = made(one_conv(count, 1, 1), (record,), {"2.weight": source}, TopK(name="kept", source="2.weight", count=count))
    expected = {1: [-3.0], 2: [-3.0, 3.0], 3: [2.0, -3.0, 3.0], 4: [2.0, -3.0, 3.0, -2.0]}
    assert child.flatten().tolist() == expected[count]


@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 1), (5, 1), (3, 6), (5, 2)])
def test_identity_passes_its_input_on(kernel: int, groups: int) -> None:
    weight = made(one_conv(6, 6, kernel, groups), (Identity(tensor="2.weight"),), {})
    x = torch.randn(2, 6, 5, 5, generator=generator())
    assert torch.equal(torch.nn.functional.conv2d(x, weight, padding=kernel // 2, groups=groups), x)


def test_constant_and_calibrated() -> None:
    graph = SAMPLES["plain"]()
    state = random_state(graph)
    plan = Inheritance(exact=True, records=(Calibrated(node=3), Constant(tensor="2.weight", value=2.5)))
    child = transfer([(graph, plan)], state, generator())
    assert torch.equal(child["2.weight"], torch.full((8, 1, 3, 3), 2.5))
    x = torch.randn(4, 8, 3, 3, generator=generator())
    tensors = (child[f"3.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
    torch.testing.assert_close(torch.nn.functional.batch_norm(x, *tensors), x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (2, 5, 5, 5), (8, 1, 1, 1)])
def test_factorised_is_the_best_rank_one(shape: tuple[int, int, int, int]) -> None:
    out, inputs, kernel, _ = shape
    b = Builder(inputs, 5, 5)
    b.add(Conv(out_channels=inputs, kernel=kernel, padding=kernel // 2, groups=inputs))
    b.add(Conv(out_channels=out, kernel=1, padding=0))
    graph = b.head(classes=2)
    source = torch.randn(shape, generator=generator())
    records = [Factorised(depthwise="2.weight", pointwise="3.weight", source="2.weight")]
    records_all = (*records, Fresh(tensor="6.weight"), Fresh(tensor="6.bias"))
    state = transfer([(graph, Inheritance(exact=False, records=records_all))], {"2.weight": source}, generator())
    product = (state["3.weight"][:, :, 0, 0, None, None] * state["2.weight"][None, :, 0]).numpy()
    for channel in range(inputs):  # Eckart and Young: what is lost is every singular value but the first
        matrix = source[:, channel].reshape(out, -1).numpy().astype(np.float64)
        lost = np.linalg.svd(matrix, compute_uv=False)[1:]
        assert np.sum((matrix - product[:, channel].reshape(out, -1)) ** 2) == pytest.approx(np.sum(lost**2), rel=1e-5, abs=1e-8)
        norms = [np.linalg.norm(part) for part in (state["2.weight"][channel], state["3.weight"][:, channel])]
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)  # balanced: neither factor vanishes or explodes


def test_from_scratch_is_he_and_repeats_with_its_stream() -> None:
    b = Builder(8, 8, 8)
    b.conv(64)
    b.conv(64)
    graph = b.head()
    first, again, other = (transfer([(graph, from_scratch(graph))], {}, generator(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["2.weight"], other["2.weight"])
    assert first["5.weight"].std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.02)
    assert not any(tensor.any() for name, tensor in first.items() if name.endswith(("bias", "running_mean")))
    assert torch.isfinite(Network(graph, first)(torch.randn(4, 8, 8, 8, generator=generator()))).all()


# -------------------------------------------------------------------------------------------------------------- whole


@pytest.mark.parametrize("name", SAMPLES)
def test_inherited_tensors_are_contiguous_and_share_no_memory(name: str) -> None:
    graph = SAMPLES[name]()
    parent = {
        key: value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
        for key, value in random_state(graph).items()
    }
    plan = Inheritance(exact=True)
    child = transfer([(graph, plan), (graph, plan)], parent, generator())
    assert list(child) == list(graph.tensors())
    pointers = {value.untyped_storage().data_ptr() for value in parent.values()}
    for key, value in child.items():
        assert torch.equal(value, parent[key])
        assert value.is_contiguous()
        assert value.untyped_storage().data_ptr() not in pointers


def test_plans_follow_one_another() -> None:
    graph = SAMPLES["flat"]()
    parent = random_state(graph)
    halves = (
        Inheritance(exact=False, records=(Constant(tensor="2.weight", value=3.0),)),
        Inheritance(exact=False, records=(Slice(tensor="2.weight", source="2.weight", axes=()),)),
    )
    child = transfer([(graph, plan) for plan in halves], parent, generator())
    assert torch.equal(child["2.weight"], torch.full((4, 1, 3, 3), 3.0))


def test_tensors_without_a_value_are_named() -> None:
    graph = SAMPLES["flat"]()
    parent = random_state(graph)
    lacking = {key: value for key, value in parent.items() if key != "2.weight"}
    with pytest.raises(MorphismError, match=r"2\.weight"):
        transfer([(graph, Inheritance(exact=True))], lacking, generator())
    with pytest.raises(MorphismError, match=r"2\.weight"):
        transfer([(graph, Inheritance(exact=True))], parent | {"2.weight": torch.zeros(5, 1, 3, 3)}, generator())
    gone = Slice(tensor="2.weight", source="77.weight", axes=())
    with pytest.raises(MorphismError, match=r"77\.weight"):
        transfer([(graph, Inheritance(exact=False, records=(gone,)))], parent, generator())
