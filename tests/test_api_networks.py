"""A run's networks in Python: as torch modules, as ONNX bytes and as a pandas frame."""

import sys

import numpy as np
import onnxruntime
import pytest
import torch

import hwnas
from hwnas.api import Run
from hwnas.data import DataSettings, load
from hwnas.errors import RequestError
from hwnas.models.deploying import pixels
from tests.conftest import Made


@pytest.fixture(scope="module")
def run(tiny_run: Made) -> Run:
    return hwnas.open_run(tiny_run.folder)


def test_a_module_and_its_file_answer_alike_and_as_the_run_says(run: Run) -> None:
    best = run.front()[0]
    validation = load(DataSettings()).validation
    images = pixels(validation)
    with torch.inference_mode():
        logits = run.model(best.id)(torch.from_numpy(images)).numpy()
    session = onnxruntime.InferenceSession(run.onnx(best.id), providers=["CPUExecutionProvider"])
    (from_file,) = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(logits, from_file, rtol=1e-3, atol=1e-3)
    wrong = (logits.argmax(1) != validation.labels.numpy()).mean()
    assert wrong == pytest.approx(best.value("error"), abs=1.5 / len(images))


def test_a_module_does_not_change_what_is_stored(run: Run) -> None:
    best = run.front()[0]
    module = run.model(best.id)
    assert not module.training
    with torch.no_grad():
        next(module.parameters()).add_(1.0)
    assert not torch.equal(next(run.model(best.id).parameters()), next(module.parameters()))


def test_an_int8_file_is_had_too(run: Run) -> None:
    best = run.front()[0]
    assert b"QuantizeLinear" in run.onnx(best.id, "int8")


@pytest.mark.parametrize("name", ["front", "g9-9", ""])
def test_what_is_no_network_is_refused(run: Run, name: str) -> None:
    for wanted in (run.model, run.onnx):
        with pytest.raises(RequestError, match="no model"):
            wanted(name)


def test_a_frame_has_a_row_for_each_network(run: Run) -> None:
    pytest.importorskip("pandas")
    frame = run.frame()
    assert list(frame.index) == [entry.id for entry in run.front()]
    assert frame["error"].tolist() == [entry.value("error") for entry in run.front()]
    assert len(run.frame(everyone=True)) == len(run.rows())


def test_without_pandas_it_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RequestError, match=r"pip install 'hwnas\[pandas\]'"):
        run.frame()
