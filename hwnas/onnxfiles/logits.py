"""Where the logits of an ONNX classifier are: what stands behind them says the same class, and takes no part in a campaign."""

from collections.abc import Iterator, Mapping

import onnx
from onnx import NodeProto

from hwnas.device.model import CHECKSUMS
from hwnas.errors import ModelError

PROBABILITIES = ("Softmax", "LogSoftmax")
CLASSES = ("ArgMax", "TopK")
RESHAPED = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")  # the same classes


def cut_at_logits(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The file with its logits as the one output, without the softmax, the arg max or the top k that read them.

    Raises ModelError for outputs that are not all of the same logits.
    """
    producer = {name: node for node in proto.graph.node for name in node.output}
    outputs = [output.name for output in proto.graph.output]
    found = {_logits_of(name, producer) for name in outputs if name != CHECKSUMS}
    if len(found) != 1:
        raise ModelError(
            f"expected a classifier with one output, logits (n, classes), got {len(outputs)} outputs ({', '.join(outputs)}); "
            "export it with the logits alone"
        )
    (logits,) = found
    if outputs == [logits]:
        return proto
    cut = onnx.ModelProto()
    cut.CopyFrom(proto)
    del cut.graph.node[:], cut.graph.output[:]
    cut.graph.output.append(onnx.ValueInfoProto(name=logits))
    needed, kept = {logits}, []
    for node in reversed(proto.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(_reads(node))
    cut.graph.node.extend(reversed(kept))
    return cut


def _logits_of(output: str, producer: Mapping[str, NodeProto]) -> str:
    """What an output's classes are taken from; the output itself where no operator does that.

    Raises ModelError for an arg max or a top k that says anything else than which class has the largest logit.
    """
    indices = _behind(output, producer, RESHAPED)
    node = producer.get(indices)
    if node is None or node.op_type not in CLASSES:
        return _behind(output, producer, PROBABILITIES)
    if not node.input:
        raise ModelError(f"{node.op_type} {node.name or indices} reads nothing; the file is damaged")
    if not _is_over_classes(node) or _attribute(node, "largest", 1) != 1 or indices != node.output[-1]:
        raise ModelError(
            f"{node.op_type} {node.name or indices} is not the number of the class with the largest logit; "
            "export the model with the logits alone"
        )
    return _behind(node.input[0], producer, PROBABILITIES)


def _behind(name: str, producer: Mapping[str, NodeProto], operators: tuple[str, ...]) -> str:
    """The tensor that these operators, one after another, made this one of; probabilities over classes alone."""
    seen = {name}
    while (node := producer.get(name)) is not None and node.op_type in operators:
        if node.op_type in PROBABILITIES and not _is_over_classes(node):
            break
        if not node.input or node.input[0] in seen:
            named = f"{node.op_type} {node.name or name}"
            raise ModelError(f"{named} reads nothing, or what is computed from it; the file is damaged")
        name = node.input[0]
        seen.add(name)
    return name


def _is_over_classes(node: NodeProto) -> bool:
    """Whether it works along the classes of logits (n, classes)."""
    return _attribute(node, "axis", 0 if node.op_type == "ArgMax" else -1) in (1, -1)


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)


def _reads(node: NodeProto) -> Iterator[str]:
    """The tensors that a node reads, those inside of its branches and loops too."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (output.name for output in graph.output)
            for inner in graph.node:
                yield from _reads(inner)
