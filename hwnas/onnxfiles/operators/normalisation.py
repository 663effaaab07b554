"""Normalisations. A scale or an offset that the file leaves out is neutral, and distinguished (``Translation.implied``)."""

from hwnas.graph import BatchNorm, Flatten, GroupNorm, LayerNorm, Op
from hwnas.onnxfiles.constants import Constant
from hwnas.onnxfiles.operator import Operator
from hwnas.onnxfiles.operators.shaping import as_map
from hwnas.onnxfiles.translation import Translation


def batch_norm(made: Translation, operator: Operator) -> None:
    """BatchNormalization with its running statistics; of a vector, it is one of a feature map of one pixel."""
    if operator.integer("training_mode", 0):
        raise operator.refuse("it normalises by the batch's own statistics; export the model in eval mode")
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = {name: made.needed(operator, place) for place, name in enumerate(names, start=1)}
    op = BatchNorm(eps=operator.number("epsilon", 1e-5), momentum=0.1)
    source = made.source(operator)
    if len(made.shapes[source]) == 3:
        made.put(operator, op, source, tensors=tensors)
    else:
        made.put(operator, Flatten(), made.put(operator, op, as_map(made, operator, source), tensors=tensors))


def layer_norm(made: Translation, operator: Operator) -> None:
    """LayerNormalization over channels that come last, or over the features of a vector."""
    value, axis = made.unscaled(operator), operator.integer("axis", -1)
    rank = len(made.shapes[value.node]) + 1
    if not (value.channels_last or rank == 2) or axis not in (-1, rank - 1):
        raise operator.refuse("only normalisations over channels are taken: over the last axis, channels transposed to it")
    _put(made, operator, LayerNorm(eps=operator.number("epsilon", 1e-5)))


def channel_norm(made: Translation, operator: Operator) -> None:
    """What ``hwnas.onnxfiles.patterns`` makes of a normalisation over channels that come first, written out."""
    made.source(operator)  # refuses channels that come last
    _put(made, operator, LayerNorm(eps=operator.number("epsilon", 1e-5)))


def group_norm(made: Translation, operator: Operator) -> None:
    """GroupNormalization with a scale for each channel (opset 21), or what the patterns make of its parts."""
    made.source(operator)
    _put(made, operator, GroupNorm(groups=operator.integer("num_groups", 0), eps=operator.number("epsilon", 1e-5)))


def instance_norm(made: Translation, operator: Operator) -> None:
    """InstanceNormalization: as many groups as channels."""
    channels = made.shapes[made.source(operator)][0]
    _put(made, operator, GroupNorm(groups=channels, eps=operator.number("epsilon", 1e-5)))


def _put(made: Translation, operator: Operator, op: Op) -> None:
    weight, bias = (_each(made, operator, place) for place in (1, 2))
    made.put_alike(operator, op, 0, tensors={"weight": weight, "bias": bias})


def _each(made: Translation, operator: Operator, place: int) -> Constant | None:
    """A constant with one number for each channel, as a list or as a column."""
    given = made.floats(operator, place)
    if given is None or given.array.ndim == 1:
        return given
    each = made.per_channel(made.value(operator), given)
    if each is None:
        raise operator.refuse(f"expected one number for each channel, got {given.array.shape}")
    return each
