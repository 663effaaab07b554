"""Guarded files compute the same on the images they were guarded with, and less harm where a bit flips."""

import numpy as np
import pytest
import torch

from hwnas.errors import ExportError
from hwnas.export import convert, emit
from hwnas.export.guard import guarded
from hwnas.injection import FastEngine, Program, damage, from_onnx
from tests.export.samples import images, onnx_logits, random_state
from tests.graphs import SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
def test_a_guarded_file_computes_the_same_on_its_images(name: str) -> None:
    graph = SAMPLES[name]()
    model, pictures = emit(graph, random_state(graph)), images(graph, 20)
    safe = guarded(model, pictures.numpy())
    np.testing.assert_allclose(onnx_logits(safe, pictures), onnx_logits(model, pictures), rtol=1e-4, atol=1e-4)
    limits = onnx_logits(model, pictures)
    wild = onnx_logits(safe, pictures * 1000)
    assert wild.min() >= limits.min() - 1e-5
    assert wild.max() <= limits.max() + 1e-5


def test_flips_do_less_harm_in_a_guarded_file() -> None:
    graph = SAMPLES["residual"]()
    model, pictures = emit(graph, random_state(graph)), images(graph, 20)
    harm = []
    for content in (model, guarded(model, pictures.numpy())):
        made = Program(*from_onnx(content))
        engine = FastEngine(made, pictures)
        changed = []
        for tensor in made.memory.population.tensors:
            for element in range(0, tensor.size, max(1, tensor.size // 8)):
                bit = made.memory.population.index(tensor=tensor.name, element=element, bit=30)
                answers = engine.weights(made.memory.flipped(np.array([bit])))
                changed.append(damage(answers, engine.classes, engine.classes.astype(np.int64)).changed)
        harm.append(np.mean(changed))
    assert harm[1] < harm[0]


def test_an_int8_file_is_refused() -> None:
    graph = SAMPLES["flat"]()
    pictures = images(graph, 8).numpy()
    model = convert(emit(graph, random_state(graph)), "int8", calibration=pictures)
    with pytest.raises(ExportError, match="int8"):
        guarded(model, torch.rand(1).numpy())
