"""The constants of an ONNX graph, wherever a file keeps them, and what follows from constants alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import ModelError
from hwnas.onnxfiles.operator import Operator, readable

MAX_ELEMENTS = 2**28  # of one tensor, 1 GiB of float32: what is larger is refused before memory is asked for
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """An array, and the name of the file's tensor that holds its words in memory; None where it was computed.

    ``repeated``: it holds one number of the file, or none of it, once for each channel.
    """

    array: Array
    origin: str | None = None
    repeated: bool = False


def constants_of(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Initialisers and the tensors of Constant nodes by name."""
    found = (node for node in graph.node if node.op_type == "Constant" and node.output)
    made = {node.output[0]: part.t for node in found for part in node.attribute}
    return made | {tensor.name: tensor for tensor in graph.initializer}


def array_of(tensor: TensorProto) -> Array:
    """A tensor as an array. Raises ModelError where its type, its sizes and its bytes do not fit each other."""
    name, dims = readable(tensor.name), tuple(tensor.dims)
    if tensor.data_type not in TensorProto.DataType.values() or tensor.data_type == TensorProto.UNDEFINED:
        raise ModelError(f"tensor {name!r}: expected a type that ONNX knows, got number {tensor.data_type}; the file is damaged")
    elements = 1
    for size in dims:
        elements *= size
    if any(size < 0 for size in dims) or elements > MAX_ELEMENTS:
        raise ModelError(
            f"tensor {name!r}: expected sizes from 0 and at most {MAX_ELEMENTS} numbers, got {dims}; the file is damaged"
        )
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise ModelError(f"tensor {name!r}: its bytes are not the {elements} numbers that it says: {error}") from error


def initialisers(graph: onnx.GraphProto) -> dict[str, Constant]:
    """The initialisers by name. Raises ModelError for one that cannot be read."""
    named = ((readable(tensor.name), array_of(tensor)) for tensor in graph.initializer)
    return {name: Constant(array=array, origin=name) for name, array in named}


def evaluable(kind: str) -> bool:
    """Whether an operator of constants is itself taken for a constant."""
    return kind == "Constant" or kind in _EVALUATE


def evaluate(operator: Operator, inputs: Sequence[Constant]) -> Constant:
    """What an operator makes of constants alone; it must be ``evaluable``.

    Raises UnsupportedOperatorError where it cannot be computed, or would be larger than MAX_ELEMENTS.
    """
    if operator.kind == "Constant":
        return Constant(array=_constant(operator), origin=operator.output)
    arrays = [constant.array for constant in inputs]
    try:
        with np.errstate(all="ignore"):
            array = np.asarray(_EVALUATE[operator.kind](operator, *arrays))
    except (ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise operator.refuse(f"it cannot be computed from its constants: {error}") from error
    origin = inputs[0].origin if operator.kind in _SAME_WORDS and inputs else None
    return Constant(array=array, origin=origin)


def _constant(operator: Operator) -> Array:
    tensor = operator.tensor("value")
    if tensor is not None:
        return array_of(tensor.t)
    if operator.has("value_float") or operator.has("value_floats"):
        whole = operator.has("value_floats")
        return np.array(operator.numbers("value_floats") if whole else operator.number("value_float", 0.0), np.float32)
    if operator.has("value_int") or operator.has("value_ints"):
        whole = operator.has("value_ints")
        return np.array(operator.integers("value_ints") if whole else operator.integer("value_int", 0), np.int64)
    raise operator.refuse("its value is neither numbers nor a tensor of them")


def _bounded(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape whose tensor fits. Raises ValueError."""
    elements = 1
    for size in shape:
        elements *= max(0, int(size))
    if elements > MAX_ELEMENTS:
        raise ValueError(f"{tuple(shape)} are more than {MAX_ELEMENTS} numbers")
    return tuple(map(int, shape))


def _binary(compute: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def both(operator: Operator, one: Array, other: Array) -> Array:
        _bounded(np.broadcast_shapes(one.shape, other.shape))
        return compute(one, other)

    return both


def _divided(one: Array, other: Array) -> Array:
    return one // other if np.issubdtype(one.dtype, np.integer) else one / other


def _cast(operator: Operator, array: Array) -> Array:
    kind = operator.integer("to", TensorProto.FLOAT)
    if kind not in helper.get_all_tensor_dtypes():
        raise operator.refuse(f"a cast to type {kind} is not known")
    return array.astype(helper.tensor_dtype_to_np_dtype(kind))


def reshaped(shape: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """The sizes that a Reshape gives: 0 keeps a size, one -1 takes what is left. Raises ValueError where they do not fit."""
    kept = [shape[place] if size == 0 and place < len(shape) else int(size) for place, size in enumerate(target)]
    elements = int(np.prod(shape, dtype=object))
    known = int(np.prod([size for size in kept if size != -1], dtype=object))
    if kept.count(-1) > 1 or min(kept, default=0) < -1 or (known and elements % known) or (-1 in kept and not known):
        raise ValueError(f"{tuple(shape)} cannot be reshaped to {tuple(target)}")
    found = tuple(elements // known if size == -1 else size for size in kept)
    if int(np.prod(found, dtype=object)) != elements:
        raise ValueError(f"{tuple(shape)} cannot be reshaped to {tuple(target)}")
    return found


def integers(array: Array) -> tuple[int, ...]:
    """A constant that says sizes, places or axes. Raises ValueError for what is no list of whole numbers."""
    if array.ndim > 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"expected a list of whole numbers, got {array.dtype} {array.shape}")
    return tuple(array.reshape(-1).tolist())


def _axes(operator: Operator, given: tuple[Array, ...]) -> tuple[int, ...]:
    return integers(given[0]) if given else operator.integers("axes")


def _squeeze(operator: Operator, array: Array, *axes: Array) -> Array:
    found = _axes(operator, axes)
    return np.squeeze(array, found) if found else np.squeeze(array)


def _slice(operator: Operator, array: Array, *given: Array) -> Array:
    if given:
        starts, ends, *rest = map(integers, given)
        axes = rest[0] if rest else tuple(range(len(starts)))
        steps = rest[1] if len(rest) > 1 else (1,) * len(starts)
    else:
        starts, ends = operator.integers("starts"), operator.integers("ends")
        axes, steps = operator.integers("axes", tuple(range(len(starts)))), (1,) * len(starts)
    places = [slice(None)] * array.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places[axis] = slice(start, end, step)
    return array[tuple(places)]


def _constant_of_shape(operator: Operator, shape: Array) -> Array:
    tensor = operator.tensor("value")
    value = np.zeros(1, np.float32) if tensor is None else array_of(tensor.t)
    return np.full(_bounded(integers(shape)), value.reshape(-1)[0])


def _clip(operator: Operator, array: Array, *bounds: Array) -> Array:
    given = iter(bounds)  # those that are not left out; until opset 10 they are attributes
    low = next(given) if operator.input(1) else operator.number("min", -np.inf)
    high = next(given) if operator.input(2) else operator.number("max", np.inf)
    return np.clip(array, low, high).astype(array.dtype)


def _shape(operator: Operator, array: Array) -> Array:
    return sizes(operator, array.shape)


def sizes(operator: Operator, shape: Sequence[int]) -> Array:
    """What a Shape operator gives of a tensor of this shape."""
    start, end = operator.integer("start", 0), operator.integer("end", len(shape))
    return np.array(tuple(shape)[start:end], np.int64)


def _expand(operator: Operator, array: Array, shape: Array) -> Array:
    return np.broadcast_to(array, _bounded(np.broadcast_shapes(array.shape, integers(shape))))


def _transpose(operator: Operator, array: Array) -> Array:
    return np.transpose(array, operator.integers("perm") or None)


_SAME_WORDS = ("Identity", "Cast", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Flatten")
_EVALUATE: Mapping[str, Callable[..., Array]] = {
    "Identity": lambda operator, array: array,
    "Cast": _cast,
    "Shape": _shape,
    "Reshape": lambda operator, array, target: array.reshape(reshaped(array.shape, integers(target))),
    "Transpose": _transpose,
    "Unsqueeze": lambda operator, array, *axes: np.expand_dims(array, _axes(operator, axes)),
    "Squeeze": _squeeze,
    "Concat": lambda operator, *arrays: np.concatenate(arrays, operator.integer("axis", 0)),
    "Gather": lambda operator, array, places: np.take(array, places, operator.integer("axis", 0)),
    "Slice": _slice,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(_divided),
    "Neg": lambda operator, array: -array,
    "Sqrt": lambda operator, array: np.sqrt(array),
    "Ceil": lambda operator, array: np.ceil(array),
    "Floor": lambda operator, array: np.floor(array),
    "Clip": _clip,
}
