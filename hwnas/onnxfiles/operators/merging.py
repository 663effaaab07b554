"""Arithmetic: of the image and constants, of a layer and constants, of several tensors; and concatenation."""

from dataclasses import replace

import numpy as np

from hwnas.graph import Add, Concat, Conv, Linear, Multiply, Scale, ScaledAdd, Subtract
from hwnas.onnxfiles.constants import Constant
from hwnas.onnxfiles.operator import Operator
from hwnas.onnxfiles.translation import Translation, Value


def arithmetic(made: Translation, operator: Operator) -> None:
    """Add, Sub, Mul, Div or Sum.

    1. Of the image and a constant, one number for all channels or one for each: its normalisation.
    2. A product with one number, which a sum then takes as its factor.
    3. A product with one number for each channel: a scale.
    4. A sum with zeros: nothing.
    5. A sum of a layer that nothing else reads and one number for each channel, or for all: its bias.
    6. Any other sum of a feature map and such numbers: a depthwise convolution of 1x1 with that bias, and with the factor that
       a product before it left as its weights.
    7. Of tensors alone.
    """
    places = [place for place, name in enumerate(operator.inputs) if name in made.constants]
    if not places:
        _of_tensors(made, operator)
        return
    if len(operator.inputs) != 2:
        raise operator.refuse("a sum of several tensors and constants is not taken")
    place, other = places[0], 1 - places[0]
    constant, value = made.needed(operator, place), made.value(operator, other)
    behind = place == 1 or operator.kind in ("Add", "Mul", "Sum")
    each = made.per_channel(value, constant)
    if value == Value(node=1) and behind:
        _normalise(made, operator, operator.input(other), constant.array)
    elif operator.kind in ("Mul", "Div") and behind and constant.array.size == 1:
        _factor(made, operator, value, float(constant.array.reshape(())))
    elif operator.kind in ("Add", "Sum", "Sub") and behind and constant.array.size == 1 and not constant.array.any():
        made.held[operator.output] = value
    elif operator.kind == "Mul" and each is not None:
        made.put_alike(operator, Scale(), other, tensors={"weight": each})
    elif operator.kind in ("Add", "Sum", "Sub") and behind and each is not None:
        offset = Constant(array=-each.array, repeated=each.repeated) if operator.kind == "Sub" else each
        if not _taken_as_bias(made, operator, operator.input(other), offset):
            _offset(made, operator, value, offset)
    else:
        raise operator.refuse(
            "arithmetic with constants is taken on the image, as a factor, or with one number for each channel behind a product "
            "or sum"
        )


def concat(made: Translation, operator: Operator) -> None:
    """Concat along the channels."""
    if operator.integer("axis", 0) not in (1, -3):
        raise operator.refuse("concatenation is along the channels")
    sources = [made.source(operator, place) for place in range(len(operator.inputs))]
    if len(sources) == 1:
        made.held[operator.output] = Value(node=sources[0])
    else:
        made.put(operator, Concat(), *sources)


def _normalise(made: Translation, operator: Operator, image: str, constant: np.ndarray) -> None:
    if made.readers[image] > 1 or constant.size not in (1, made.channels):
        raise operator.refuse("a normalisation has one constant a channel, and only it reads the image")
    each = np.broadcast_to(constant.reshape(-1), (made.channels,)).astype(np.float32)
    scale = np.ones_like(each) if made.scale is None else made.scale
    offset = np.zeros_like(each) if made.offset is None else made.offset
    with np.errstate(all="ignore"):
        match operator.kind:
            case "Add" | "Sum":
                offset = offset + each
            case "Sub":
                offset = offset - each
            case "Mul":
                scale, offset = scale * each, offset * each
            case _:
                scale, offset = scale / each, offset / each
    made.scale, made.offset = scale, offset
    made.held[operator.output] = Value(node=1)


def _factor(made: Translation, operator: Operator, value: Value, number: float) -> None:
    if operator.kind == "Div" and number == 0.0:
        raise operator.refuse("it divides by zero")
    made.held[operator.output] = replace(value, factor=value.factor * (number if operator.kind == "Mul" else 1.0 / number))


def _taken_as_bias(made: Translation, operator: Operator, name: str, offset: Constant) -> bool:
    """Whether a sum with constants became the bias of the layer that gives ``name``, which nothing else reads."""
    value = made.held[name]
    number = value.node
    op = made.nodes[number].op
    fits = isinstance(op, Linear) or (isinstance(op, Conv) and not op.bias)
    alone = made.readers[name] == 1 and sum(each.node == number for each in made.held.values()) == 1
    if not isinstance(op, Linear | Conv) or not fits or value.factor != 1.0 or not alone:
        return False
    key = f"{number}.bias"
    total = made.tensors.get(key, np.float32(0)) + offset.array
    if key not in made.tensors and offset.origin is not None:
        made.sources[key] = offset.origin
    if offset.repeated:
        made.repeated.add(key)
    made.change(number, replace(op, bias=True), made.nodes[number].inputs, {"bias": total})
    made.held[operator.output] = value
    return True


def _offset(made: Translation, operator: Operator, value: Value, offset: Constant) -> None:
    shape = made.shapes[value.node]
    if len(shape) != 3:
        raise operator.refuse("a constant is added to a feature map, or to a layer, not to what is computed from a vector")
    channels = shape[0]
    op = Conv(out_channels=channels, kernel=1, padding=0, groups=channels, bias=True)
    weight = Constant(array=np.full((channels, 1, 1, 1), value.factor, np.float32), repeated=True)
    number = made.put(operator, op, value.node, tensors={"weight": weight, "bias": offset})
    made.held[operator.output] = replace(value, node=number, factor=1.0)


def _of_tensors(made: Translation, operator: Operator) -> None:
    terms = [made.value(operator, place) for place in range(len(operator.inputs))]
    everywhere = range(len(terms))
    scaled = any(term.factor != 1.0 for term in terms)
    match operator.kind:
        case "Mul":
            made.put_alike(operator, Multiply(), *everywhere)
        case "Add" | "Sum" if not scaled:
            made.put_alike(operator, Add(), *everywhere)
        case "Sub" if not scaled:
            made.put_alike(operator, Subtract(), *everywhere)
        case "Add" | "Sum" | "Sub" if len(terms) == 2:
            one, other = terms
            if one.channels_last or other.channels_last:
                raise operator.refuse("factors are taken where channels come first")
            sign = -1.0 if operator.kind == "Sub" else 1.0
            made.put(operator, ScaledAdd(factors=(one.factor, sign * other.factor)), one.node, other.node)
        case _:
            raise operator.refuse(f"a {operator.kind} of {len(terms)} tensors is not taken")
