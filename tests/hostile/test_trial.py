"""Files that end, hang or fill the process that runs them are met by a process that may die of it."""

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from hwnas.cli import app
from hwnas.device import trial
from hwnas.device.trial import try_apart
from hwnas.errors import ModelError
from tests.device.models import conv_net

IMAGE = ("x", TensorProto.FLOAT, [1, 1, 4, 4])
LOGITS = ("y", TensorProto.FLOAT, [1, 2])


def model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], functions: tuple[onnx.FunctionProto, ...] = ()) -> bytes:
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info(*IMAGE)],
        [helper.make_tensor_value_info(*LOGITS)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8).SerializeToString()


def head(extra: str) -> list[onnx.NodeProto]:
    """Logits of the image, to which the float ``extra`` is added."""
    return [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["plain"]),
        helper.make_node("Add", ["plain", extra], ["y"]),
    ]


WEIGHT = {"w": np.ones((16, 2), np.float32)}


def dividing() -> bytes:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),  # keeps it from being computed while it is loaded
        helper.make_node("Gather", ["shape", "first"], ["one"]),
        helper.make_node("Mul", ["one", "least"], ["number"]),
        helper.make_node("Mul", ["one", "minus"], ["by"]),
        helper.make_node("Div", ["number", "by"], ["out"]),
        helper.make_node("Cast", ["out"], ["extra"], to=TensorProto.FLOAT),
    ]
    whole = {"least": -(2**63), "minus": -1, "first": 0}
    return model([*nodes, *head("extra")], {**WEIGHT, **{name: np.array([value], np.int64) for name, value in whole.items()}})


def looping() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["a", "step"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])],
    )
    loop = helper.make_node("Loop", ["times", "yes", "begin"], ["extra"], body=body)
    constants = {
        **WEIGHT,
        "times": np.array(2**62, np.int64),
        "yes": np.array(True),
        "begin": np.zeros(1, np.float32),
        "step": np.ones(1, np.float32),
    }
    return model([loop, *head("extra")], constants)


def bomb() -> bytes:
    functions = []
    for number in range(26):
        inner = "Neg" if number == 0 else f"f{number - 1}"
        domain = "" if number == 0 else "own"
        nodes = [helper.make_node(inner, ["a"], ["m"], domain=domain), helper.make_node(inner, ["m"], ["b"], domain=domain)]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        functions.append(helper.make_function("own", f"f{number}", ["a"], ["b"], nodes, opsets))
    called = helper.make_node("f25", ["zero"], ["extra"], domain="own")
    return model([called, *head("extra")], {**WEIGHT, "zero": np.zeros(1, np.float32)}, tuple(functions))


def filling() -> bytes:
    nodes = [
        helper.make_node("ConstantOfShape", ["huge"], ["many"]),
        helper.make_node("ReduceSum", ["many"], ["extra"], keepdims=0),
    ]
    return model([*nodes, *head("extra")], {**WEIGHT, "huge": np.array([2**37], np.int64)})  # 550 GB


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LIMIT_S", 4)


CASES = {
    "signal": (dividing, "SIGFPE"),
    "loop": (looping, "within 4 s"),
    "functions": (bomb, "within 4 s"),
    "memory": (filling, "memory"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_ends_in_one_message_that_names_the_file(name: str) -> None:
    made, message = CASES[name]
    started = time.monotonic()
    with pytest.raises(ModelError, match=f"hostile.onnx.*{message}"):
        try_apart({"plain.onnx": conv_net(), "hostile.onnx": made()})
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("command", [["measure", "FILE"], ["import", "FILE"], ["faults", "--onnx", "FILE", "--data", "digits"]])
def test_no_command_runs_it_itself(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "hostile.onnx"
    file.write_bytes(dividing())
    done = CliRunner().invoke(app, [part.replace("FILE", str(file)) for part in command])
    assert done.exit_code == 2, done.output
    assert len(done.output.strip()) < 2000


def test_what_does_no_harm_passes() -> None:
    try_apart({"a": conv_net(), "b": b"no model at all", "c": conv_net()})
