"""A float ONNX classifier of images as a graph with its tensors: operator by operator, or refused by name.

1. What is computed from constants alone is a constant; so is the shape of a tensor, but for its batch, which a Reshape keeps.
2. Operations that are written out in parts are found (``hwnas.onnxfiles.patterns``).
3. Each operator is translated by the function that ``hwnas.onnxfiles.operators`` names for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from hwnas.errors import GraphError, UnsupportedOperatorError
from hwnas.graph import Graph
from hwnas.onnxfiles.constants import Constant, evaluable, evaluate, sizes
from hwnas.onnxfiles.operator import STANDARD, Operator, readable
from hwnas.onnxfiles.operators import OPERATORS
from hwnas.onnxfiles.patterns import with_patterns
from hwnas.onnxfiles.translation import Floats, Translation, Value

BATCH_SIZE = 0  # in a shape: what a Reshape takes for "as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A network from a file: ``tensors`` are its state, ``"<node>.<name>"``, in the shapes that the operations own.

    ``sources`` names, for each tensor whose words stand in the file, the file's tensor that holds them: two layers with one
    source share their weights. ``implied`` are tensors that the file leaves out (a normalisation without offset); they are
    neutral. ``repeated`` are tensors that hold one number of the file, or none of it, once for each channel. ``scale`` and
    ``offset``, (C,) each, are applied to the image first: image * scale + offset (None: nothing to do).
    """

    graph: Graph
    tensors: Mapping[str, Floats]
    sources: Mapping[str, str]
    implied: frozenset[str]
    repeated: frozenset[str]
    scale: Floats | None
    offset: Floats | None


def translate(proto: onnx.ModelProto) -> Translated:
    """The graph and tensors of a classifier whose one output is its logits (``cut_at_logits``); ``proto`` is left as it is.

    Raises UnsupportedOperatorError naming the operators that cannot be taken and the weights before them, ModelError for a file
    that is none of a classifier, or is damaged.
    """
    made = Translation(proto.graph)
    _fold(made, proto.graph)
    operators = with_patterns(proto.graph, made.constants)
    _refuse_unknown(made, operators)
    for operator in operators:
        _take(made, operator)
    output = readable(proto.graph.output[0].name)
    if made.held.get(output, Value(node=1)).factor != 1.0:  # such as the mean of a distilled classifier's two heads
        made.scaled(operators[-1], output)
    return _finished(made, output)


def _fold(made: Translation, graph: onnx.GraphProto) -> None:
    """Case 1, as far as it needs no shape of a tensor: the patterns look for constants."""
    for operator in map(Operator, graph.node):
        _is_folded(made, operator)


def _is_folded(made: Translation, operator: Operator) -> bool:
    """Whether an operator gives a constant, which then is known by its output's name."""
    names = [name for name in operator.inputs if name]
    if operator.output in made.constants:
        return True
    if operator.domain not in STANDARD or not evaluable(operator.kind):
        return False
    if operator.kind == "Shape" and operator.input(0) in made.held:
        value = made.value(operator)
        channels, *rest = made.shapes[value.node]
        shape = (*rest, channels) if value.channels_last else (channels, *rest)
        made.constants[operator.output] = Constant(array=sizes(operator, (BATCH_SIZE, *shape)))
        return True
    if not all(name in made.constants for name in names) or (not names and operator.kind != "Constant"):
        return False
    made.constants[operator.output] = evaluate(operator, [made.constants[name] for name in names])
    return True


def _take(made: Translation, operator: Operator) -> None:
    """Cases 1 and 3 for one operator."""
    if _is_folded(made, operator):
        return
    take = OPERATORS.get(operator.kind)
    if take is None:
        raise operator.refuse("it is taken of constants alone, and reads what is computed from the image")
    try:
        take(made, operator)
    except GraphError as error:
        raise operator.refuse(f"it cannot be taken as it stands here: {error}") from error


def _refuse_unknown(made: Translation, operators: Sequence[Operator]) -> None:
    """Raise UnsupportedOperatorError where an operator is not known, saying which layers could still be faulted."""
    fixed, unknown, reachable = set(made.constants), set[str](), list[str]()
    for operator in operators:
        standard = operator.domain in STANDARD
        from_fixed = operator.kind == "Shape" or all(name in fixed for name in operator.inputs if name)
        if standard and evaluable(operator.kind) and from_fixed:
            fixed.update(operator.outputs)
        elif not standard or operator.kind not in OPERATORS:
            unknown.add(operator.kind)
        elif not unknown:
            arrays = {name: made.constants[name].array for name in operator.inputs if name in made.constants}
            reachable += [name for name, array in arrays.items() if array.ndim >= 2]
    if not unknown:
        return
    part = f"the weights before them could be faulted ({', '.join(reachable)})" if reachable else "no weights come before them"
    raise UnsupportedOperatorError(
        f"operators {', '.join(sorted(unknown))} are not supported; {part}: export the model without them, or cut it there. "
        f"Supported are {', '.join(sorted(OPERATORS))}. Quantised to an int8 (QDQ) file the whole model can be faulted: "
        "--dtype int8 takes every operator"
    )


def _finished(made: Translation, output: str) -> Translated:
    """The graph without what nothing reads: the unread outputs of a split, the flattens that a gate passed by."""
    held = made.held.get(output)
    if held is None or held.channels_last:
        raise UnsupportedOperatorError(f"the file is no classifier of images: its output {output!r} is computed by no layer")
    needed, waiting = {1}, [held.node]
    while waiting:
        number = waiting.pop()
        if number not in needed:
            needed.add(number)
            waiting += made.nodes[number].inputs
    nodes = tuple(node for number, node in made.nodes.items() if number in needed)
    try:
        graph = Graph(nodes, held.node)
    except GraphError as error:
        raise UnsupportedOperatorError(f"the file is no classifier of images that can be taken: {error}") from error
    own = graph.tensors().keys()
    return Translated(
        graph=graph,
        tensors={name: made.tensors[name] for name in own},
        sources={name: source for name, source in made.sources.items() if name in own},
        implied=frozenset(made.implied & own),
        repeated=frozenset(made.repeated & own),
        scale=made.scale,
        offset=made.offset,
    )
