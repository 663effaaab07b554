"""ONNX files as they come from outside: read with their external data, checked, and asked for their inputs."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from hwnas.errors import ModelError

CHECKSUMS = "checksum_mismatch"  # an output of files with checksums (``hwnas export --checksums``): no answer
LARGEST = 2**31 - 1  # of a protobuf message: what is larger is no ONNX file, and is not read to find that out


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One input of a model, with every dimension settled; `dtype` is numpy's name, `fixed_batch` the first size if fixed."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    fixed_batch: int | None = None


def parse(model: bytes) -> onnx.ModelProto:
    """The parsed model; ModelError if it is not ONNX or keeps tensors outside itself."""
    try:
        proto = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise ModelError(f"expected an ONNX model, got {len(model)} bytes that are none: {error}") from error
    if not proto.graph.node or not proto.opset_import:
        raise ModelError(f"expected an ONNX model with nodes and an opset, got {len(model)} bytes without")
    outside = [tensor.name for tensor in _all_tensors(proto) if external_data_helper.uses_external_data(tensor)]
    if outside:
        raise ModelError(f"tensor {outside[0]!r} is kept in another file; load the model by its path, so that it is found")
    return proto


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Every tensor that a graph holds, those in its nodes' attributes and subgraphs included."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)


def _all_tensors(proto: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every tensor of a model, those of its local functions included."""
    yield from _tensors(proto.graph)
    for function in proto.functions:
        yield from _of_nodes(function.node)


def read_model(path: str | os.PathLike[str]) -> bytes:
    """The model file's bytes with external data taken in; such data is never followed out of the file's folder.

    Raises:
        ModelError: no such file, not ONNX, or external data that is missing or lies outside the folder.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelError(f"no model file {str(file)!r}")
    if file.stat().st_size > LARGEST:
        raise ModelError(f"{file}: expected an ONNX model, which has 2 GB at most, got {file.stat().st_size:,} bytes")
    try:
        proto = onnx.load_model(file, format="protobuf", load_external_data=False)  # whatever its name ends with
    except DecodeError as error:
        raise ModelError(f"{file}: expected an ONNX model: {error}") from error
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}; check its permissions") from error
    if not proto.graph.node:
        raise ModelError(f"{file}: expected an ONNX model with nodes, got {file.stat().st_size} bytes without")
    outside = [tensor for tensor in _all_tensors(proto) if external_data_helper.uses_external_data(tensor)]
    if not outside:
        return file.read_bytes()
    total = 0
    for tensor in outside:
        total += _external_size(file, tensor)
        if total > LARGEST:
            raise ModelError(f"{file}: its external data are more than 2 GB, which no ONNX model can hold in one piece")
    for tensor in outside:
        location = external_data_helper.ExternalDataInfo(tensor).location
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(file.resolve().parent))
            tensor.data_location = TensorProto.DEFAULT
            numpy_helper.to_array(tensor)
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise ModelError(f"{file}: tensor {tensor.name!r} cannot be read from {location!r}: {error}") from error
        del tensor.external_data[:]
    serialised: bytes = proto.SerializeToString()
    return serialised


def _external_size(file: Path, tensor: TensorProto) -> int:
    """How many bytes a tensor has outside, known before any is read. Raises ModelError where it is not what the tensor needs."""
    folder, where = file.resolve().parent, f"{file}: tensor {tensor.name!r}"
    try:
        said = external_data_helper.ExternalDataInfo(tensor)
        target = (folder / said.location).resolve()
        is_file = target.is_file()
        available = target.stat().st_size if is_file else 0
        width = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:  # of onnx, for what is no number, name or type
        raise ModelError(f"{where} says wrongly where its data lie, or of what type they are: {error}") from error
    if not target.is_relative_to(folder):
        raise ModelError(f"{where} points at {said.location!r}, outside the model's folder; refused")
    if not is_file:
        raise ModelError(f"{where} needs {said.location!r} beside the model, and it is not there")
    offset = said.offset or 0
    length = available - offset if said.length is None else said.length
    if offset < 0 or length < 0 or min(tensor.dims, default=0) < 0 or offset + length > available:
        raise ModelError(f"{where} cannot be read from {said.location!r}: {length} bytes at {offset}, and there are {available}")
    if length > width * math.prod(tensor.dims):  # a packed type needs less, which onnx itself looks at
        needs = width * math.prod(tensor.dims)
        raise ModelError(f"{where} cannot be read from {said.location!r}: {length} bytes, and its shape needs {needs}")
    return length


def input_specs(model: bytes, shapes: Mapping[str, int] | None = None) -> list[InputSpec]:
    """The inputs that a run must feed, symbolic dimensions settled by name from `shapes`, a symbolic batch by 1.

    Raises:
        ModelError: not ONNX, tensors kept outside, an input that is no tensor of numbers, an unsettled dimension or number of
            them, or a name in `shapes` that no dimension has (a typo would be measured at another size).
    """
    graph = parse(model).graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [put for put in graph.input if put.name not in constants]
    symbols = dict.fromkeys(dim.dim_param for put in inputs for dim in put.type.tensor_type.shape.dim if dim.dim_param)
    unknown = [name for name in shapes or {} if name not in symbols]
    if unknown:
        raise ModelError(f"no input has a dimension {unknown[0]!r}; symbolic are: {', '.join(symbols) or 'none'}")
    specs = []
    for put in inputs:
        tensor = put.type.tensor_type
        try:
            dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        except KeyError:  # none, or a number that no type has
            dtype = np.dtype(object)
        if dtype.kind not in "fiub":
            raise ModelError(
                f"input {put.name!r} is no tensor of floats, whole numbers or booleans; such a model cannot be run here"
            )
        if not tensor.HasField("shape"):
            raise ModelError(f"input {put.name!r}: nothing says how many dimensions it has; export the model with its shape")
        shape = tuple(_size(put.name, axis, dim, shapes or {}) for axis, dim in enumerate(tensor.shape.dim))
        is_fixed = bool(shape) and tensor.shape.dim[0].dim_value > 0
        specs.append(InputSpec(name=put.name, dtype=dtype.name, shape=shape, fixed_batch=shape[0] if is_fixed else None))
    return specs


def _size(name: str, axis: int, dim: onnx.TensorShapeProto.Dimension, shapes: Mapping[str, int]) -> int:
    if dim.dim_value > 0:
        return int(dim.dim_value)
    if dim.dim_param in shapes:
        if shapes[dim.dim_param] < 1:
            raise ModelError(f"input {name!r}: dimension {dim.dim_param!r} must be at least 1, got {shapes[dim.dim_param]}")
        return shapes[dim.dim_param]
    if axis == 0:
        return 1
    if dim.dim_param:
        advice = f"dimension {axis}, {dim.dim_param!r}, is; give it, as in --shape {dim.dim_param}=N"
    else:
        advice = f"dimension {axis} is, and it has no name to give it by; export the model with a size or a name there"
    raise ModelError(f"input {name!r}: nothing says how large its {advice}")


def random_feeds(specs: Sequence[InputSpec]) -> dict[str, np.ndarray]:
    """Seeded inputs as specified: floats uniform in [0, 1), whole numbers 0 or 1, which are valid as indices, too.

    Raises ModelError where they do not fit into memory.
    """
    rng, feeds = np.random.default_rng(0), {}
    for spec in specs:
        try:
            values = rng.random(spec.shape) if spec.dtype.startswith("float") else rng.integers(0, 2, spec.shape)
            feeds[spec.name] = values.astype(spec.dtype)
        except (MemoryError, ValueError) as error:  # numpy's for too many values, and for more than it can count
            raise ModelError(f"input {spec.name!r}: an array of {spec.shape} does not fit here: {error}") from error
    return feeds
