"""Several exported networks as one ONNX file that answers with the logarithm of their mean probabilities."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import onnx
from onnx import NodeProto, TensorProto, helper

from hwnas.errors import ExportError
from hwnas.export.emit import BATCH, IMAGE, LOGITS
from hwnas.version import __version__

REDUCES_BY_INPUT = 18  # the version of ONNX's operators from which on ReduceLogSumExp is given its axes as an input


def joined(models: Sequence[bytes], metadata: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """One model of several that ``emit`` wrote: ``image`` (float32, NCHW, in [0, 1]) goes to each of them, ``logits`` is the
    logarithm of the mean of their softmax probabilities, so that its own softmax is that mean.

    Names of member k begin with ``m<k>_``. Raises ExportError where the members take other images or know other classes.
    """
    protos = [onnx.load_model_from_string(model) for model in models]
    forms = {(_shape(proto.graph.input[0]), _shape(proto.graph.output[0])) for proto in protos}
    if len(forms) != 1:
        raise ExportError(f"the members of an ensemble take the same images and know the same classes, got {sorted(forms)}")
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    for number, proto in enumerate(protos):
        _rename(proto.graph, f"m{number}_")
        nodes += proto.graph.node
        constants += proto.graph.initializer
    opset = protos[0].opset_import[0].version
    nodes += _mean([f"m{number}_{LOGITS}" for number in range(len(protos))], constants, opset)
    graph = helper.make_graph(nodes, "hwnas_ensemble", [protos[0].graph.input[0]], [protos[0].graph.output[0]], constants)
    model = helper.make_model(
        graph,
        opset_imports=protos[0].opset_import,
        ir_version=protos[0].ir_version,
        producer_name="hwnas ensemble",  # by which a file is known to be one
        producer_version=__version__,
    )
    helper.set_model_props(model, {"hwnas_version": __version__} | dict(metadata))
    serialised: bytes = model.SerializeToString()
    return serialised


def _mean(members: Sequence[str], constants: list[TensorProto], opset: int) -> list[NodeProto]:
    """The nodes from the members' logits (n, classes) to the logarithm of their mean probabilities."""
    constants += [
        helper.make_tensor("ensemble_axis", TensorProto.INT64, [1], [0]),
        helper.make_tensor("ensemble_log_size", TensorProto.FLOAT, [], [math.log(len(members))]),
    ]
    nodes = []
    for name in members:
        nodes.append(helper.make_node("LogSoftmax", [name], [f"{name}_log"], axis=1))
        nodes.append(helper.make_node("Unsqueeze", [f"{name}_log", "ensemble_axis"], [f"{name}_row"]))
    nodes.append(helper.make_node("Concat", [f"{name}_row" for name in members], ["ensemble_rows"], axis=0))
    if opset >= REDUCES_BY_INPUT:
        reduce = helper.make_node("ReduceLogSumExp", ["ensemble_rows", "ensemble_axis"], ["ensemble_sum"], keepdims=0)
    else:
        reduce = helper.make_node("ReduceLogSumExp", ["ensemble_rows"], ["ensemble_sum"], axes=[0], keepdims=0)
    return [*nodes, reduce, helper.make_node("Sub", ["ensemble_sum", "ensemble_log_size"], [LOGITS])]


def _rename(graph: onnx.GraphProto, prefix: str) -> None:
    """Every name of a graph with a prefix, that of the image excepted."""
    for tensor in graph.initializer:
        tensor.name = prefix + tensor.name
    for node in graph.node:
        node.name = prefix + node.name if node.name else ""
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name and name != IMAGE:
                    names[place] = prefix + name


def _shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_param or dim.dim_value for dim in dims) or (BATCH,)
