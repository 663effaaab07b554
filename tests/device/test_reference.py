"""The reference model."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from hwnas.device import load_profile, session
from hwnas.device.model import input_specs, parse
from hwnas.device.reference import conv_chain, reference_model


def test_it_is_the_same_every_time_and_loads_everywhere() -> None:
    model = parse(reference_model())
    assert reference_model() == conv_chain(channels=32, size=32, layers=3)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    onnx.checker.check_model(model, full_check=True)


def test_its_outputs_are_ordinary_numbers() -> None:
    # zeros or denormals would make it as fast or as slow as no real network is
    image = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    (pooled,) = session(reference_model(), load_profile("local-cpu")).run(None, {"image": image})
    assert 0.01 < float(pooled.mean()) < 10
    assert np.count_nonzero(pooled) > 16


@pytest.mark.parametrize("chain", [{"channels": 4, "size": 8, "layers": 1}, {"channels": 6, "size": 5, "layers": 3}])
def test_a_chain_has_the_layers_that_were_asked_for(chain: dict[str, int]) -> None:
    model = onnx.shape_inference.infer_shapes(parse(conv_chain(**chain)))
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.value_info}
    made = [shapes[node.output[0]] for node in model.graph.node if node.op_type == "Conv"]
    assert made == [[1, chain["channels"], chain["size"], chain["size"]]] * chain["layers"]
    assert input_specs(conv_chain(**chain))[0].shape == (1, 3, chain["size"], chain["size"])
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
