"""Wrong types in a script are one RequestError, as wrong words on the command line are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hwnas
from hwnas import api
from hwnas.errors import ModelError, RequestError

CALLS: dict[str, Callable[[Any], object]] = {
    "open_run 5": lambda run: hwnas.open_run(5),
    "open_run None": lambda run: hwnas.open_run(None),
    "open_run bytes": lambda run: hwnas.open_run(b"run"),
    "open_run NUL": lambda run: hwnas.open_run("a\0b"),
    "data_card 5": lambda run: api.data_card(5),
    "start config": lambda run: hwnas.start("somewhere", config=5),
    "start config bytes": lambda run: hwnas.start("somewhere", config=b"run.toml"),
    "is_run 5": lambda run: api.is_run(5),
    "measure 5": lambda run: hwnas.measure(5),
    "measure shapes": lambda run: hwnas.measure("m.onnx", shapes=[1]),
    "verify 5": lambda run: hwnas.verify(5),
    "verify data": lambda run: hwnas.verify("bundle", 3),
    "verify device": lambda run: hwnas.verify("bundle", device=3),
    "start out": lambda run: hwnas.start(5),
    "start initial": lambda run: hwnas.start("somewhere", initial=3),
    "faults onnx": lambda run: api.faults(3, "digits"),
    "faults data": lambda run: api.faults(["a.onnx"], 3),
    "resume generations": lambda run: run.resume(generations="3"),
    "resume generations True": lambda run: run.resume(generations=True),
    "resume expected": lambda run: run.resume(expected=[]),
    "train models": lambda run: run.train(3),
    "train epochs": lambda run: run.train(epochs=1.5),
    "train workers": lambda run: run.train(workers="2"),
    "pick limits": lambda run: run.pick([("error", 1)]),
    "pick limits values": lambda run: run.pick({"parameters": "x"}),
    "pick prefer": lambda run: run.pick(prefer="error"),
    "pick knee": lambda run: run.pick(knee="yes"),
    "export out": lambda run: run.export(None),
    "export precisions": lambda run: run.export("out", precisions=5),
    "export guard": lambda run: run.export("out", guard="yes"),
    "run faults": lambda run: run.faults(half_width="x"),
    "run faults faults": lambda run: run.faults(faults=3),
    "report out": lambda run: run.report(3),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("arguments") / "run"
    budget = {"generations": 0, "images_per_child": 64}
    return hwnas.start(folder, workers=0, objectives=("error", "parameters", "macs"), config={"budget": budget})


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_type_is_a_request_error(name: str, run: Any) -> None:
    with pytest.raises(RequestError, match=r"got|must"):
        CALLS[name](run)


@pytest.mark.parametrize("given", [5, None, b"m.onnx", [1]])
def test_what_is_no_network_is_said_to_be_none(given: Any, run: Any) -> None:
    with pytest.raises(ModelError, match="expected a torch module"):
        api.inspect(given)
