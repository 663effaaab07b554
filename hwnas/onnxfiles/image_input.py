"""The images that a user's ONNX classifier takes: which input, of what shape, and batches of any size."""

from collections.abc import Collection

import onnx
from onnx import TensorProto

from hwnas.errors import ModelError

BATCH = "batch"


def image_of(
    graph: onnx.GraphProto, constants: Collection[str], kinds: Collection[int] = (TensorProto.FLOAT,)
) -> tuple[str, tuple[int, ...]]:
    """Name and shape (C, H, W) of a model's one input, which takes one of these kinds of numbers. Raises ModelError."""
    inputs = [put for put in graph.input if put.name not in constants]
    dims = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(dims) != 4 or min(dims[1:]) < 1:
        advice = "export it with a fixed height and width" if len(dims) == 4 else "give a classifier of images"
        got = " and ".join(_as_text(put) for put in inputs) or "none"
        raise ModelError(f"expected a model with one input of images (n, C, H, W), got {got}; {advice}")
    kind = inputs[0].type.tensor_type.elem_type
    if kind not in kinds:
        wanted, got = (", ".join(TensorProto.DataType.Name(each).lower() for each in some) for some in (kinds, [kind]))
        raise ModelError(f"expected images as {wanted} from 0 to 1, {inputs[0].name!r} takes {got}; export it for such images")
    return inputs[0].name, tuple(dims[1:])


def _as_text(put: onnx.ValueInfoProto) -> str:
    """An input's name and shape, as far as the file says."""
    dims = [str(dim.dim_value or dim.dim_param or "?") for dim in put.type.tensor_type.shape.dim]
    return f"{put.name!r} ({', '.join(dims)})"


def for_any_batch(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The file, changed to say that it takes batches of any size; whether it does, only a run tells."""
    graph = proto.graph
    del graph.value_info[:]
    constants = {tensor.name for tensor in graph.initializer}
    for put in graph.input:
        if put.name not in constants and put.type.tensor_type.shape.dim:
            put.type.tensor_type.shape.dim[0].dim_param = BATCH
    graph.output[0].CopyFrom(onnx.ValueInfoProto(name=graph.output[0].name))
    return proto
