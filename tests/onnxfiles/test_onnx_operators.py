"""Forms of operators that neither our own files nor torch's exports have, but other exporters do."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hwnas.deployed import Program
from hwnas.errors import UnsupportedOperatorError
from hwnas.importing.onnx_file import take_onnx
from hwnas.injection import from_onnx

N = helper.make_node
HEAD = [N("Conv", ["b", "v"], ["h"]), N("GlobalAveragePool", ["h"], ["p"]), N("Flatten", ["p"], ["y"])]


def model(nodes: list[onnx.NodeProto], opset: int = 17) -> bytes:
    """A stem (image "x" to "a"), the nodes (from "a" to "b"), a convolution of as many channels as they give, a head."""
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 2, 3, 3), "u": (4, 1, 3, 2), "column": (4, 1, 1), "row": (1, 4, 1, 1), "each": (4,), "other": (4,)}
    known: dict[str, np.ndarray] = {name: rng.random(shape).astype(np.float32) + 0.1 for name, shape in shapes.items()}
    known |= {
        "sizes": np.array([18, 16]), "scales": np.float32([1, 1, 2, 3]), "parts": np.array([1, 3]), "axes": np.array([2, 3]),
        "around": np.array([1, 0, 0, 2]), "half": np.float32(0.5), "unit": np.float32(1.0),
        "one": np.float32([2.0]), "target": np.array([0, 0, 9, -1]),
    }  # fmt: skip
    stem = N("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1])
    channels = 3 if any(node.op_type == "Split" for node in nodes) else 4
    known["v"] = rng.random((3, channels, 1, 1)).astype(np.float32)
    every = [stem, *nodes, *HEAD]
    used = {name for node in every for name in node.input}
    graph = helper.make_graph(
        every,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 9, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in known.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def kinds(content: bytes) -> list[str]:
    """What stands between the stem and the last convolution, once it computes what ONNX Runtime does for two images."""
    graph, folded = from_onnx(content)
    pictures = np.random.default_rng(1).random((2, 2, 9, 8), dtype=np.float32)
    expected = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": pictures})[0]
    np.testing.assert_allclose(Program(graph, folded).run(torch.from_numpy(pictures)).numpy(), expected, rtol=1e-4, atol=1e-4)
    return [node.op.kind for node in graph.nodes[2:-3]]


FORMS = {
    "same, upper": ([N("Conv", ["a", "u"], ["b"], group=4, auto_pad="SAME_UPPER", strides=[2, 1])], 17, ["conv"]),
    "same, lower": ([N("Conv", ["a", "u"], ["b"], group=4, auto_pad="SAME_LOWER", strides=[2, 1])], 17, ["conv"]),
    "valid": ([N("MaxPool", ["a"], ["b"], kernel_shape=[3, 2], auto_pad="VALID", strides=[2, 1])], 17, ["max_pool"]),
    "pool, same": ([N("MaxPool", ["a"], ["b"], kernel_shape=[3, 2], auto_pad="SAME_UPPER", strides=[2, 2])], 17, ["max_pool"]),
    "GELU": ([N("Gelu", ["a"], ["b"])], 20, ["gelu"]),
    "GELU by tanh": ([N("Gelu", ["a"], ["b"], approximate="tanh")], 20, ["gelu"]),
    "slopes as a column": ([N("PRelu", ["a", "column"], ["b"])], 17, ["prelu"]),
    "slopes shaped": (
        [N("Constant", [], ["k"], value_ints=[1, 2]), N("Unsqueeze", ["each", "k"], ["s"]), N("PRelu", ["a", "s"], ["b"])], 17,
        ["prelu"],
    ),
    "group normalisation": ([N("GroupNormalization", ["a", "each", "other"], ["b"], num_groups=2)], 21, ["group_norm"]),
    "instance normalisation": ([N("InstanceNormalization", ["a", "each", "other"], ["b"])], 17, ["group_norm"]),
    "a scale of rank 4": ([N("Mul", ["row", "a"], ["b"])], 17, ["scale"]),
    "a bias behind": ([N("Add", ["a", "row"], ["b"])], 17, []),
    "parts": ([N("Split", ["a", "parts"], ["s", "b"], axis=1)], 17, ["slice"]),
    "parts, the first": ([N("Split", ["a"], ["b", "t"], axis=1, split=[3, 1])], 11, ["slice"]),
    "by sizes": (
        [N("Shape", ["a"], ["s"], end=2), N("Concat", ["s", "sizes"], ["t"], axis=0),
         N("Resize", ["a", "", "", "t"], ["b"], mode="nearest")], 17, ["upsample"],
    ),
    "by scales": ([N("Resize", ["a", "", "scales"], ["b"], mode="nearest")], 17, ["upsample"]),
    "up-sampled": ([N("Upsample", ["a", "scales"], ["b"], mode="nearest")], 9, ["upsample"]),
    "padded along axes": ([N("Pad", ["a", "around", "half", "axes"], ["b"])], 18, ["pad"]),
    "padded by attributes": ([N("Pad", ["a"], ["b"], pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5)], 10, ["pad"]),
    "a slice by attributes": ([N("Slice", ["a"], ["b"], starts=[0], ends=[4], axes=[1])], 9, []),
    "the largest": (
        [N("ReduceMax", ["a"], ["m"], axes=[-1, -2]), N("Sigmoid", ["m"], ["s"]), N("Mul", ["s", "a"], ["b"])], 17,
        ["global_max_pool", "sigmoid", "multiply"],
    ),
    "a difference of factors": (
        [N("Mul", ["a", "half"], ["s"]), N("Relu", ["a"], ["r"]), N("Div", ["r", "one"], ["t"]), N("Sub", ["s", "t"], ["b"])], 17,
        ["clip", "scaled_add"],
    ),
    "a shape kept": ([N("Relu", ["a"], ["r"]), N("Reshape", ["r", "target"], ["b"])], 17, ["clip"]),
    "two readers of a part": (  # the sigmoid is a tensor of its own, too
        [N("Sigmoid", ["a"], ["s"]), N("Mul", ["a", "s"], ["t"]), N("Add", ["s", "t"], ["b"])], 17, ["sigmoid", "silu", "add"],
    ),
    "a product that is no gate": ([N("Sigmoid", ["a"], ["s"]), N("Relu", ["a"], ["r"]), N("Mul", ["r", "s"], ["b"])], 17,
                                  ["sigmoid", "clip", "multiply"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_read(name: str) -> None:
    nodes, opset, expected = FORMS[name]
    assert kinds(model(nodes, opset)) == expected


REFUSED = {
    "only alpha 1/6 and beta 0.5 are taken, got alpha 0.2": [N("HardSigmoid", ["a"], ["b"])],
    "one slope for each channel": [N("PRelu", ["a", "scales"], ["b"])],
    r"only the transposition \[0, 2, 3, 1\]": [N("Transpose", ["a"], ["b"], perm=[0, 1, 3, 2])],
    "channels that come last": [N("Transpose", ["a"], ["t"], perm=[0, 2, 3, 1]), N("MaxPool", ["t"], ["b"], kernel_shape=[1, 1])],
    "reductions over height and width": [N("ReduceMax", ["a"], ["b"], axes=[1])],
    "to the nearest pixel": [N("Resize", ["a", "", "scales"], ["b"], mode="linear")],
    "with one constant": [N("Pad", ["a", "around"], ["b"], mode="reflect")],
    "with one number for each channel": [N("Sub", ["row", "a"], ["b"])],
    "operators Erf are not supported": [  # x / 2 (1 + Erf(x)) is no GELU
        N("Erf", ["a"], ["e"]),
        N("Add", ["e", "unit"], ["f"]),
        N("Mul", ["a", "f"], ["g"]),
        N("Mul", ["g", "half"], ["b"]),
    ],
    "operators Mish are not supported": [N("Mish", ["a"], ["b"])],
    "operators Conv are not supported": [N("Conv", ["a", "v"], ["b"], domain="mine")],
    "leaves out": [N("LayerNormalization", ["t", "each"], ["q"])],
}


NOT_HELD = {  # what is trained on, but not faulted: the file holds one number where the graph holds one for each channel
    "one slope": [N("PRelu", ["a", "one"], ["b"])],
    "a product with one number": [N("Mul", ["a", "half"], ["s"]), N("Relu", ["s"], ["b"])],
    "a constant behind an activation": [N("Relu", ["a"], ["r"]), N("Add", ["r", "row"], ["b"])],
    "a bias that another reader does not see": [
        N("Add", ["a", "row"], ["c"]), N("Relu", ["a"], ["d"]), N("Add", ["c", "d"], ["b"]),
    ],
    "a bias that another name does not see": [
        N("Identity", ["a"], ["i"]), N("Add", ["i", "row"], ["c"]), N("Identity", ["a"], ["j"]), N("Add", ["c", "j"], ["b"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_HELD)
def test_what_the_file_does_not_hold_is_taken_but_not_faulted(name: str, tmp_path: Path) -> None:
    content = model(NOT_HELD[name], 18)
    with pytest.raises(UnsupportedOperatorError, match="does not hold once for each channel"):
        from_onnx(content)
    (tmp_path / "model.onnx").write_bytes(content)
    assert take_onnx(tmp_path / "model.onnx", channels=2, height=9, width=8).parity.relative <= 1e-5


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_not_taken_is_refused_by_name(message: str) -> None:
    nodes = REFUSED[message]
    if message == "leaves out":
        to_last, to_first = (N("Transpose", [a], [b], perm=p) for a, b, p in (("a", "t", [0, 2, 3, 1]), ("q", "b", [0, 3, 1, 2])))
        nodes = [to_last, *nodes, to_first]
    with pytest.raises(UnsupportedOperatorError, match=message):
        from_onnx(model(nodes, 18))
