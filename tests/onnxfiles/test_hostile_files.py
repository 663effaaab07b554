"""Damaged and hostile files end in an error that says so, never in one of ours, and never ask for memory first."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from hwnas.campaign import onnx_subject
from hwnas.errors import ModelError, UnsupportedOperatorError
from hwnas.export import emit
from hwnas.injection import from_onnx
from hwnas.onnxfiles import cut_at_logits, translate
from tests.export.samples import random_state
from tests.ops.op_cases import CASES

N = helper.make_node
TAIL = [N("GlobalAveragePool", ["c"], ["d"]), N("Flatten", ["d"], ["y"])]


def model(*nodes: onnx.NodeProto, shape: tuple = ("n", 2, 6, 6), opset: int = 17, **constants: object) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    known = {"w": rng.random((3, 2, 3, 3), dtype=np.float32)} | {name: np.asarray(value) for name, value in constants.items()}
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in known.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def conv(**attributes: object) -> onnx.NodeProto:
    return N("Conv", ["x", "w"], ["c"], **attributes)


def spoilt(**fields: object) -> onnx.ModelProto:
    proto = model(conv(), *TAIL)
    tensor = proto.graph.initializer[0]
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(tensor, name)[:] = value
        else:
            setattr(tensor, name, value)
    return proto


def not_text() -> onnx.ModelProto:
    """An operator whose name is no UTF-8: protobuf gives its bytes."""
    content = (
        model(N("Anything", ["x"], ["c"]), *TAIL).SerializeToString().replace(b"Anything", b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe")
    )
    return onnx.load_model_from_string(content)


def of_type(kind: int) -> onnx.ModelProto:
    proto = model(conv(kernel_shape=[3, 3]), *TAIL)
    proto.graph.node[0].attribute[0].type = kind
    return proto


HOSTILE = {
    "too few bytes": lambda: spoilt(raw_data=b"abc"),
    "sizes for more": lambda: spoilt(dims=[2**20, 2**20]),
    "sizes beyond counting": lambda: spoilt(dims=[2**62, 2**62, 3, 3]),
    "a negative size": lambda: spoilt(dims=[3, -2, 3, 3]),
    "no type": lambda: spoilt(data_type=0),
    "an unknown type": lambda: spoilt(data_type=99),
    "texts for weights": lambda: model(conv(), *TAIL, w=np.array([[[["a"]]]], object)),
    "weights of another rank": lambda: model(conv(), *TAIL, w=np.ones((3, 2), np.float32)),
    "weights that are not given": lambda: model(N("Conv", ["x", "nothing"], ["c"]), *TAIL),
    "no weights": lambda: model(N("Conv", ["x"], ["c"]), *TAIL),
    "no inputs": lambda: model(N("Conv", [], ["c"]), *TAIL),
    "a name of bytes": not_text,
    "no groups": lambda: model(conv(group=0), *TAIL),
    "negative strides": lambda: model(conv(strides=[-1, -1]), *TAIL),
    "no strides, computed pads": lambda: model(conv(strides=[0, 0], auto_pad="SAME_UPPER"), *TAIL),
    "pads for one axis": lambda: model(conv(pads=[1, 1]), *TAIL),
    "huge pads": lambda: model(conv(pads=[2**40] * 4), *TAIL),
    "a text for strides": lambda: model(conv(strides="ab"), *TAIL),
    "a number for the padding": lambda: model(conv(auto_pad=3), *TAIL),
    "an attribute of a wrong type": lambda: of_type(AttributeProto.FLOAT),
    "an attribute of no type": lambda: of_type(0),
    "a huge image": lambda: model(conv(), *TAIL, shape=(1, 2, 60_000, 60_000)),
    "an image beyond counting": lambda: model(conv(), *TAIL, shape=(1, 2, 2**20, 2**40)),
    "a batch of none": lambda: model(conv(), *TAIL, shape=(0, 2, 6, 6)),
    "a huge batch": lambda: model(conv(), *TAIL, shape=(2**40, 2, 6, 6)),
    "a huge map": lambda: model(N("Resize", ["x", "", "s"], ["c"], mode="nearest"), *TAIL, s=np.float32([1, 1, 9999, 9999])),
    "infinite factors": lambda: model(N("Resize", ["x", "", "s"], ["c"], mode="nearest"), *TAIL, s=np.float32([1, 1, np.inf, 1])),
    "factors that are no numbers": lambda: model(
        N("Upsample", ["x", "s"], ["c"]), *TAIL, s=np.float32([1, 1, np.nan, 1]), opset=9
    ),
    "a huge constant": lambda: model(N("ConstantOfShape", ["s"], ["t"]), N("Add", ["x", "t"], ["c"]), *TAIL, s=np.array([2**40])),
    "a constant of a negative size": lambda: model(
        N("ConstantOfShape", ["s"], ["t"]), N("Add", ["x", "t"], ["c"]), *TAIL, s=np.array([-3])
    ),
    "a huge outer product": lambda: model(
        N("Mul", ["s", "t"], ["u"]), N("Add", ["x", "u"], ["c"]), *TAIL, s=np.ones((2**15, 1)), t=np.ones((1, 2**15))
    ),
    "a constant text": lambda: model(N("Constant", [], ["t"], value_string="a"), N("Add", ["x", "t"], ["c"]), *TAIL),
    "an axis that there is not": lambda: model(
        N("Concat", ["s", "s"], ["t"], axis=7), N("Add", ["x", "t"], ["c"]), *TAIL, s=np.ones(2, np.float32)
    ),
    "a division of the image by zero": lambda: model(
        N("Div", ["x", "s"], ["a"]), N("Conv", ["a", "w"], ["c"]), *TAIL, s=np.float32(0)
    ),
    "variances below zero": lambda: model(
        N("BatchNormalization", ["x", "s", "s", "s", "s"], ["c"]), *TAIL, s=np.float32([-9, -9])
    ),
    "weights that are not finite": lambda: model(conv(), *TAIL, w=np.full((3, 2, 3, 3), np.inf, np.float32)),
    "sizes of floats": lambda: model(conv(), N("Reshape", ["c", "s"], ["y"]), s=np.float32([0, -1])),
    "a reshape into nothing": lambda: model(conv(), N("Reshape", ["c", "s"], ["y"]), s=np.array([], np.int64)),
    "two sizes to be inferred": lambda: model(conv(), N("Reshape", ["c", "s"], ["y"]), s=np.array([-1, -1])),
    "a slice of steps 0": lambda: model(
        N("Slice", ["x", "a", "b", "a", "a"], ["c"]), *TAIL, a=np.array([0]), b=np.array([1])
    ),
    "a slice of an axis that there is not": lambda: model(
        N("Slice", ["x", "a", "b", "b"], ["c"]), *TAIL, a=np.array([0]), b=np.array([9])
    ),
    "a split into none": lambda: model(N("Split", ["x"], [], axis=1), conv(), *TAIL),
    "pads for half of the axes": lambda: model(N("Pad", ["x", "s"], ["c"]), *TAIL, s=np.array([1, 1, 1])),
    "an output that is the image": lambda: model(N("Identity", ["x"], ["y"])),
    "an output that nothing gives": lambda: model(N("Identity", ["x"], ["z"])),
    "a bound of two numbers": lambda: model(N("Clip", ["x", "s"], ["c"]), *TAIL, s=np.float32([0, 1])),
    "bounds that cross": lambda: model(N("Clip", ["x", "s", "t"], ["c"]), *TAIL, s=np.float32(1), t=np.float32(0)),
    "a product of itself": lambda: model(N("Mul", ["c", "s"], ["c"]), *TAIL, s=np.float32(2)),
    "an output of itself": lambda: model(conv(), N("Identity", ["y"], ["y"])),
    "an output of nothing": lambda: model(conv(), N("Softmax", [], ["y"])),
    "a class of nothing": lambda: model(conv(), N("ArgMax", [], ["y"], axis=1)),
    "a chain of products": lambda: model(
        *(N("Mul", [f"c{i}" if i else "x"] * 2, [f"c{i + 1}"]) for i in range(60)), N("Erf", ["c60"], ["c"]), *TAIL
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_damaged_or_hostile_is_refused(name: str) -> None:
    with pytest.raises(ModelError):
        from_onnx(HOSTILE[name]().SerializeToString())


def test_what_would_be_huge_is_refused_where_it_is_computed() -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"Resize 'c': its output \(2, 59994, 59994\) has more than"):
        translate(HOSTILE["a huge map"]())


def test_a_constant_without_a_name_is_refused_before_an_engine_is_chosen(tmp_path: Path) -> None:
    nameless = N("Constant", [], [], value_float=1.0)
    (tmp_path / "own.onnx").write_bytes(model(nameless, conv(), *TAIL).SerializeToString())
    with pytest.raises(ModelError):
        onnx_subject(tmp_path / "own.onnx", "float32")


VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(-4, 9), st.floats(width=32), st.binary(max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5), st.lists(st.integers(-3, 9), min_size=1, max_size=8),
    st.lists(st.floats(width=32), min_size=1, max_size=4),
)  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=200)
@given(data=st.data(), name=st.sampled_from(sorted(CASES)))
def test_a_file_with_one_thing_changed_is_read_or_refused(data: st.DataObject, name: str) -> None:
    """An attribute of any value, an input that is another name or none, or a constant of other numbers and sizes."""
    graph = CASES[name]()
    proto = onnx.load_model_from_string(emit(graph, random_state(graph)))
    node = data.draw(st.sampled_from(list(proto.graph.node)))
    names = [*(tensor.name for tensor in proto.graph.initializer), *(out for each in proto.graph.node for out in each.output), ""]
    change = data.draw(st.sampled_from(["attribute", "input", "constant"]))
    if change == "attribute" and node.attribute:
        place = data.draw(st.integers(0, len(node.attribute) - 1))
        node.attribute[place].CopyFrom(helper.make_attribute(node.attribute[place].name, data.draw(VALUES)))
    elif change == "input":
        node.input[data.draw(st.integers(0, len(node.input) - 1))] = data.draw(st.sampled_from(names))
    elif proto.graph.initializer:
        tensor = data.draw(st.sampled_from(list(proto.graph.initializer)))
        value = data.draw(VALUES.filter(lambda value: not isinstance(value, bytes)))
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(value), tensor.name))
    with suppress(ModelError):
        translate(cut_at_logits(proto))
