"""The ATen operations that move values without computing; see ``hwnas.importing.aten``."""

from dataclasses import replace
from math import prod

import torch

from hwnas.errors import GraphError
from hwnas.graph import Concat, Flatten, Pad, Slice, nearest
from hwnas.importing.call import Call, Held, Parts, Value
from hwnas.importing.translation import Translation

LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def concat(made: Translation, call: Call) -> Value:
    """Feature maps one after the other."""
    values, axis = call.values("tensors"), call.raw("dim") % len(call.shape)
    if len(call.shape) != 4 or any(axis != (3 if value.channels_last else 1) for value in values):
        raise call.refuse("feature maps are put together along their channels alone")
    return values[0] if len(values) == 1 else made.put_alike(call, Concat(), *values)


def cut(made: Translation, call: Call) -> Value:
    """Some of the channels, or every n-th row or column."""
    value, axis, step = call.value("self"), call.raw("dim"), call.raw("step")
    sizes = (call.node.meta["val"].shape[0], *made.as_torch_sees(value))
    axis %= len(sizes)
    start, stop, _ = slice(call.raw("start"), call.raw("end")).indices(sizes[axis])
    if (start, stop, step) == (0, sizes[axis], 1):
        return value
    source = made.first(call, value)
    if axis == 1 and step == 1:
        return made.put(call, Slice(start=start, stop=stop), source)
    if axis in (2, 3) and start == 0 and stop == sizes[axis]:
        return made.put(call, Slice(step=(step, 1) if axis == 2 else (1, step)), source)
    raise call.refuse("only channels are cut out, and only every n-th row or column from the first one on is taken")


def split(made: Translation, call: Call) -> Parts:
    """One slice for each part; those that nothing reads go with all that nothing reads."""
    source, axis = made.first(call, call.value("self")), call.raw("dim")
    if axis % len(call.shapes[0]) != 1 or len(call.shapes[0]) != 4:
        raise call.refuse("feature maps are split along their channels alone")
    parts, start = [], 0
    for shape in call.shapes:
        parts.append(made.put(call, Slice(start=start, stop=start + shape[1]), source))
        start += shape[1]
    return Parts(parts=tuple(parts))


def pad(made: Translation, call: Call) -> Value:
    """Constant values around a feature map."""
    if call.raw("mode") not in (None, "constant"):
        raise call.refuse(f"padding of the mode {call.raw('mode')} is not taken; zeros are")
    left, right, top, bottom, before, after, *rest = (*call.raw("pad"), 0, 0, 0, 0, 0, 0)[: max(6, len(call.raw("pad")))]
    if any(rest):
        raise call.refuse("the batch is padded")
    op = Pad(padding=(top, left, bottom, right), channels=(before, after), value=float(call.raw("value") or 0.0))
    return made.put(call, op, made.first(call, call.value("self")))


def upsample(made: Translation, call: Call) -> Value:
    """Nearest-neighbour resizing: by a whole factor, or by one and then every n-th row and column."""
    value = call.value("self" if call.raw("input") is None else "input")
    height, width = call.shape[2:]
    try:
        ops = nearest(made.shapes[made.first(call, value)], (height, width))
    except GraphError as error:
        raise call.refuse(str(error)) from error
    for op in ops:
        value = made.put(call, op, value.node)
    return value


def view(made: Translation, call: Call) -> Value:
    """A flatten, a vector as a map of one pixel, or nothing."""
    value = call.value("self" if call.raw("input") is None else "input")
    before, after = made.as_torch_sees(value), call.shape[1:]
    if before == after:
        return value
    if len(before) == 3 and after == (prod(before),) and (not value.channels_last or before[:2] == (1, 1)):
        return made.put(call, Flatten(), value.node)
    if len(before) == 1 and after == (*before, 1, 1):
        return Value(node=made.as_map(call, value.node))
    raise call.refuse(f"it makes {after} of {before}; only a flatten to a vector, and a vector as a map of one pixel, are taken")


def permute(made: Translation, call: Call) -> Value:
    """Channels brought last, or back."""
    value, rank = call.value("self"), len(call.shape)
    axes = tuple(axis % rank for axis in call.raw("dims"))
    return _moved(call, value, axes)


def transpose(made: Translation, call: Call) -> Value:
    """A permutation of two axes."""
    value, axes = call.value("self"), list(range(len(call.shape)))
    one, other = call.raw("dim0") % len(axes), call.raw("dim1") % len(axes)
    axes[one], axes[other] = axes[other], axes[one]
    return _moved(call, value, tuple(axes))


def _moved(call: Call, value: Value, axes: tuple[int, ...]) -> Value:
    if axes == tuple(range(len(axes))):
        return value
    if axes == (FIRST if value.channels_last else LAST):
        return replace(value, channels_last=not value.channels_last)
    raise call.refuse("only permutations that bring the channels last, or back, are taken")


def same(made: Translation, call: Call) -> Held:
    """What changes nothing in eval mode."""
    held = call.held("self" if call.raw("input") is None else "input")
    if not isinstance(held, Value):
        raise call.refuse("it reads no tensor")
    return held


def same_type(made: Translation, call: Call) -> Held:
    """A conversion to the type that it is of already."""
    dtype = call.node.meta["val"].dtype
    if dtype is not torch.float32:
        raise call.refuse(f"it makes {dtype} of the images; networks are taken in float32")
    return same(made, call)
