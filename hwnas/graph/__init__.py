"""What a network is: graphs as values, their costs, their identity."""

from hwnas.graph.canonical import architecture_id, canonical_order
from hwnas.graph.codec import from_json, to_json
from hwnas.graph.cost import Cost, LayerCost, cost, layer_costs
from hwnas.graph.edit import Edit
from hwnas.graph.graph import Graph, Node, check
from hwnas.graph.ops import (
    OPS,
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Input,
    Linear,
    MaxPool,
    OnnxForm,
    Op,
    Pool,
    Shape,
    WeightedAdd,
)
from hwnas.graph.stored import StoredTensor, stored_tensors

__all__ = [
    "OPS",
    "Add",
    "AvgPool",
    "BatchNorm",
    "Clip",
    "Concat",
    "Conv",
    "Cost",
    "Edit",
    "Flatten",
    "GlobalAvgPool",
    "Graph",
    "Input",
    "LayerCost",
    "Linear",
    "MaxPool",
    "Node",
    "OnnxForm",
    "Op",
    "Pool",
    "Shape",
    "StoredTensor",
    "WeightedAdd",
    "architecture_id",
    "canonical_order",
    "check",
    "cost",
    "from_json",
    "layer_costs",
    "stored_tensors",
    "to_json",
]
