"""Where the logits of an ONNX classifier are: what stands behind them says the same class, and takes no part in a campaign."""

from collections.abc import Iterator, Mapping

import onnx
from onnx import NodeProto

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
    found = {_logits_of(name, producer) for name in outputs}
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
    """What an output's classes are taken from; the output itself where no operator does that."""
    node = producer.get(_behind(output, producer, RESHAPED))
    return _behind(node.input[0] if node is not None and node.op_type in CLASSES else output, producer, PROBABILITIES)


def _behind(name: str, producer: Mapping[str, NodeProto], operators: tuple[str, ...]) -> str:
    """The tensor that these operators, one after another, made this one of."""
    while name in producer and producer[name].op_type in operators:
        name = producer[name].input[0]
    return name


def _reads(node: NodeProto) -> Iterator[str]:
    """The tensors that a node reads, those inside of its branches and loops too."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (output.name for output in graph.output)
            for inner in graph.node:
                yield from _reads(inner)
