"""Operators that move values without computing: views, transpositions, slices, padding, up-sampling."""

import math
from dataclasses import replace

import numpy as np

from hwnas.graph import Conv, Flatten, Linear, Pad, Slice, nearest
from hwnas.onnxfiles.constants import reshaped
from hwnas.onnxfiles.operator import Operator
from hwnas.onnxfiles.translation import FLOATS, Translation, Value

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
REPEATS = {  # coordinate_transformation_mode of Resize: the nearest_modes with which whole factors repeat each pixel
    "asymmetric": ("floor",),
    "half_pixel": ("round_prefer_floor", "round_prefer_ceil"),
    "pytorch_half_pixel": ("round_prefer_floor", "round_prefer_ceil"),
}


def alias(made: Translation, operator: Operator) -> None:
    """Operators that change nothing here: Identity, Dropout of a deployed network."""
    made.held[operator.output] = made.value(operator)


def cast(made: Translation, operator: Operator) -> None:
    """Cast between formats of floating-point numbers; the graph says nothing of them."""
    if operator.integer("to", FLOATS[0]) not in FLOATS:
        raise operator.refuse("only casts to floating-point numbers are taken")
    alias(made, operator)


def transpose(made: Translation, operator: Operator) -> None:
    """Channels to the end or back; nothing is moved, it is kept in mind."""
    value, perm = made.value(operator), operator.integers("perm")
    wanted = TO_FIRST if value.channels_last else TO_LAST
    if perm != wanted or len(made.shapes[value.node]) != 3:
        raise operator.refuse(f"only the transposition {list(wanted)} of a feature map is taken here, got {list(perm)}")
    made.held[operator.output] = replace(value, channels_last=not value.channels_last)


def flatten(made: Translation, operator: Operator) -> None:
    """Flatten of all but the batch."""
    source = made.source(operator)
    if operator.integer("axis", 1) not in (1, -len(made.shapes[source])):
        raise operator.refuse("only the batch may keep an axis of its own")
    made.put(operator, Flatten(), source)


def reshape(made: Translation, operator: Operator) -> None:
    """A reshape that is a flatten, changes nothing, or makes a vector a feature map of one pixel."""
    source, target = made.source(operator), made.whole_numbers(operator, 1)
    shape = made.shapes[source]
    if not target:
        raise operator.refuse("its target must be given")
    try:  # the batch is the first axis, whatever number stands there
        found = reshaped((1, *shape), (1 if target[0] else 0, *target[1:]))[1:]
    except ValueError as error:
        raise operator.refuse(f"only the batch may keep an axis of its own: {error}") from error
    if len(found) == 1:
        made.put(operator, Flatten(), source)
    elif found == shape:
        alias(made, operator)
    elif found == (*shape, 1, 1):
        made.held[operator.output] = Value(node=as_map(made, operator, source))
    else:
        raise operator.refuse(f"images {shape} cannot become {found}; reshapes must flatten all but the batch")


def squeeze(made: Translation, operator: Operator) -> None:
    """Height and width of one pixel taken away, both or one after the other: a flatten."""
    source = made.source(operator)
    if made.shapes[source][1:] not in ((1, 1), ()):
        raise operator.refuse(f"only feature maps of one pixel are squeezed, got {made.shapes[source]}")
    made.put(operator, Flatten(), source)


def unsqueeze(made: Translation, operator: Operator) -> None:
    """Height and width of one pixel added to a vector, both or one after the other."""
    source = made.source(operator)
    given = made.whole_numbers(operator, 1)
    axes = operator.integers("axes") if given is None else given
    if made.shapes[source][1:] not in ((1, 1), ()) or not set(axes) <= {2, 3, -1, -2}:
        raise operator.refuse(f"only height and width are added, behind the channels, got axes {list(axes)}")
    made.held[operator.output] = Value(node=as_map(made, operator, source))


def as_map(made: Translation, operator: Operator, node: int) -> int:
    """A vector as a feature map of one pixel: what computed it from such a map does so on maps.

    A fully connected layer becomes a convolution of 1x1; what flattened the map before it is passed by. So a
    squeeze-and-excitation block of linear layers reads as one of convolutions.
    """
    found, waiting = set(), [node]
    while waiting:
        number = waiting.pop()
        if number in found or len(made.shapes[number]) == 3:
            continue
        found.add(number)
        waiting += made.nodes[number].inputs
    moved: dict[int, int] = {}
    for number in sorted(found):
        op, inputs = made.nodes[number].op, tuple(moved.get(source, source) for source in made.nodes[number].inputs)
        if isinstance(op, Flatten):
            if made.shapes[inputs[0]][1:] != (1, 1):
                raise operator.refuse(f"a flattened feature map {made.shapes[inputs[0]]} cannot become one of one pixel")
            moved[number] = inputs[0]
        elif isinstance(op, Linear):
            pointwise = Conv(out_channels=op.out_features, kernel=1, padding=0, bias=op.bias)
            made.change(number, pointwise, inputs, {"weight": made.tensors[f"{number}.weight"][:, :, None, None]})
        else:
            made.change(number, op, inputs, {})
    return moved.get(node, node)


def slices(made: Translation, operator: Operator) -> None:
    """Slice along the channels and with steps along height and width; until opset 9 by attributes."""
    source = made.source(operator)
    shape = made.shapes[source]
    given = [made.whole_numbers(operator, place) for place in (1, 2, 3, 4)]
    starts = operator.integers("starts") if given[0] is None else given[0]
    ends = operator.integers("ends") if given[1] is None else given[1]
    axes = operator.integers("axes", tuple(range(len(starts)))) if given[2] is None else given[2]
    steps = (1,) * len(starts) if given[3] is None else given[3]
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps or len(shape) != 3:
        raise operator.refuse("expected as many starts, ends, axes and steps, of a feature map")
    taken = {axis: range(size) for axis, size in enumerate(shape, start=1)}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % 4 not in taken or not -4 <= axis < 4:
            raise operator.refuse("it takes a part of the batch")
        axis %= 4
        taken[axis] = range(shape[axis - 1])[slice(start, end, step)]
    channels, rows, columns = taken[1], taken[2], taken[3]
    whole = all(places == range(0, size, places.step) for places, size in zip((rows, columns), shape[1:], strict=True))
    if not whole or channels.step != 1 or not len(channels) or min(rows.step, columns.step) < 1:
        raise operator.refuse("only channels in a row, and rows and columns with a step from the first to the last, are taken")
    if all(places == range(size) for places, size in zip((channels, rows, columns), shape, strict=True)):
        alias(made, operator)
        return
    stop = None if channels.stop == shape[0] else channels.stop
    made.put(operator, Slice(start=channels.start, stop=stop, step=(rows.step, columns.step)), source)


def split(made: Translation, operator: Operator) -> None:
    """Split along the channels: one slice for each output."""
    source, count = made.source(operator), len(operator.outputs)
    shape = made.shapes[source]
    if operator.integer("axis", 0) not in (1, -3) or len(shape) != 3 or not count:
        raise operator.refuse("only feature maps are split, along the channels")
    given = made.whole_numbers(operator, 1)
    each = -(-shape[0] // count)
    equal = tuple(max(0, min(each, shape[0] - each * place)) for place in range(count))
    sizes = operator.integers("split", equal) if given is None else given
    if len(sizes) != count or sum(sizes) != shape[0] or min(sizes) < 1:
        raise operator.refuse(f"{shape[0]} channels do not split into {count} parts of {list(sizes)}")
    start = 0
    for output, size in zip(operator.outputs, sizes, strict=True):
        if output:
            stop = None if start + size == shape[0] else start + size
            made.put(operator, Slice(start=start, stop=stop), source, output=output)
        start += size


def pad(made: Translation, operator: Operator) -> None:
    """Pad with a constant around the feature map and along its channels."""
    source, given, value = made.source(operator), made.whole_numbers(operator, 1), made.floats(operator, 2)
    if operator.text("mode", "constant") != "constant" or (value is not None and value.array.size != 1):
        raise operator.refuse("only padding with one constant is taken")
    sizes, axes = operator.integers("pads") if given is None else given, made.whole_numbers(operator, 3)
    places = tuple(range(4)) if axes is None else axes
    if len(sizes) != 2 * len(places) or not all(-4 <= axis < 4 for axis in places):
        raise operator.refuse(f"expected two sizes for each axis, got {list(sizes)} for axes {list(places)}")
    before = {axis % 4: size for axis, size in zip(places, sizes, strict=False)}
    after = {axis % 4: size for axis, size in zip(places, sizes[len(places) :], strict=True)}
    if before.get(0, 0) or after.get(0, 0):
        raise operator.refuse("it pads the batch")
    around = (before.get(2, 0), before.get(3, 0), after.get(2, 0), after.get(3, 0))
    constant = operator.number("value", 0.0) if value is None else float(value.array.reshape(()))
    made.put(operator, Pad(padding=around, channels=(before.get(1, 0), after.get(1, 0)), value=constant), source)


def resize(made: Translation, operator: Operator) -> None:
    """Resize to the nearest pixel, given as scales or as sizes; of opset 10, and Upsample, too."""
    source = made.source(operator)
    shape = made.shapes[source]
    is_old = operator.kind == "Upsample" or len(operator.inputs) == 2  # they take (image, scales), asymmetric and floor
    transformation = operator.text("coordinate_transformation_mode", "asymmetric" if is_old else "half_pixel")
    rounding = operator.text("nearest_mode", "floor" if is_old else "round_prefer_floor")
    if operator.text("mode", "nearest") != "nearest" or rounding not in REPEATS.get(transformation, ()) or operator.has("axes"):
        raise operator.refuse("only resizing to the nearest pixel, or to the one before, is taken")
    given = made.floats(operator, 1 if is_old else 2)
    scales = operator.numbers("scales") if given is None else tuple(given.array.reshape(-1).tolist())
    if not scales:
        sizes = made.whole_numbers(operator, 3) or ()
        scales = (1.0, *(size / old for size, old in zip(sizes[1:], shape, strict=False)))
    if len(scales) != 4 or len(shape) != 3 or scales[:2] != (1.0, 1.0) or not np.isfinite(scales).all():
        raise operator.refuse(f"only height and width are resized, got the factors {list(scales)}")
    # ONNX: floor(size * scale); a size that was given is a whole number but for its rounding.
    height, width = (math.floor(size * scale + 1e-6) for size, scale in zip(shape[1:], scales[2:], strict=True))
    whole = height % shape[1] == width % shape[2] == 0
    if not whole and transformation != "asymmetric":
        raise operator.refuse(f"by factors that are no whole numbers, {list(scales[2:])}, only asymmetric resizing is taken")
    for op in nearest(shape, (height, width)):
        source = made.put(operator, op, source)
    made.held[operator.output] = Value(node=source)
