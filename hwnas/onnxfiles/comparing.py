"""Whether a network that was read from an ONNX file computes what the file does: the file's answers are ONNX Runtime's."""

import math

import numpy as np
import torch
from onnx import TensorProto

from hwnas.deployed import Program
from hwnas.device import input_specs, load_profile, session
from hwnas.device.agent import ORT_ERRORS
from hwnas.device.model import parse
from hwnas.errors import ModelError
from hwnas.onnxfiles.constants import MAX_ELEMENTS, constants_of

TOLERANCE, HALF_TOLERANCE = 1e-3, 1e-2  # of max(1, largest logit); the second where weights are float16


def compare(model: bytes, program: Program) -> None:
    """Raise ModelError unless the program gives the file's logits of random images."""
    broken = sorted(name for name, array in program.memory.arrays.items() if not np.isfinite(array).all())
    if broken:
        raise ModelError(f"expected finite weights, the file holds infinities or NaN (read as {', '.join(broken)})")
    graph = program.graph
    shape = graph.shapes[graph.input.id]
    (spec,) = input_specs(model)
    batch = spec.fixed_batch or 1
    if batch * max(map(math.prod, graph.shapes.values())) > MAX_ELEMENTS:
        raise ModelError(
            f"expected images that can be computed here, a batch of {batch} of {shape} makes tensors of more than {MAX_ELEMENTS} "
            "numbers; export the model for smaller ones"
        )
    opened = session(model, load_profile("local-cpu"))
    images = np.random.default_rng(0).random((batch, *shape), dtype=np.float32).astype(spec.dtype)
    try:
        expected = opened.run(None, {opened.get_inputs()[0].name: images})[0].astype(np.float32)
    except ORT_ERRORS as error:
        raise ModelError(f"ONNX Runtime cannot run the file on images {images.shape}: {str(error).splitlines()[0]}") from error
    with torch.inference_mode():
        got = program.run(torch.from_numpy(images.astype(np.float32))).numpy()
    halves = any(tensor.data_type == TensorProto.FLOAT16 for tensor in constants_of(parse(model).graph).values())
    tolerance = HALF_TOLERANCE if halves else TOLERANCE
    if expected.shape != got.shape or not np.abs(expected - got).max() <= tolerance * max(1.0, float(np.abs(expected).max())):
        raise ModelError(
            "the file does not compute what its operators say as they were read; it cannot be faulted, please report it"
        )
