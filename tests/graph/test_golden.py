"""Ids and JSON of graphs stay what they are: stored runs hold them. Whoever changes one here writes a migration of the store."""

from hwnas.graph import Graph, architecture_id, from_json, to_json
from tests.chains import STARTS

IDS = {
    "plain": "1003cbd45c912b9e",
    "flat": "f74716028b69a498",
    "residual": "c6443405b9016e38",
    "separable": "0518de5d86f3b617",
    "dense": "f248a40658f12ae5",
    "shared": "b0aab6710b603d86",
    "gap-2": "e1965e621644143a",
    "flat-2-2": "ecc36c8ee1e40286",
    "gap-4": "edf3ddd32e385cdd",
    "flat-3-4": "d1976016630a253d",
    "pool-gap-4-8": "f66e059e75326dc6",
    "separable-gap-4-8-16": "1ac5d9411b77522d",
    "flat-4-8": "e1b8c2b7f06cfe44",
    "gap-4-8-12": "eaed19c2f288b0f0",
    "gap-4-8-16": "4164db7de9752044",
    "flat-4-8-16": "12980c7fb866518f",
    "pool-gap-8-16-32": "9975080c63a1955d",
    "flat-8-16-32": "0ebb474241a3b926",
}
DENSE = (  # every operation with fields but average pooling
    '{"version":1,"output":19,"nodes":['
    '{"id":1,"op":"input","inputs":[],"channels":1,"height":8,"width":8},'
    '{"id":2,"op":"conv","inputs":[1],"kernel":3,"out_channels":8,"padding":1},'
    '{"id":3,"op":"batch_norm","inputs":[2]},{"id":4,"op":"clip","inputs":[3]},'
    '{"id":5,"op":"conv","inputs":[4],"kernel":3,"out_channels":8,"padding":1},'
    '{"id":6,"op":"batch_norm","inputs":[5]},{"id":7,"op":"clip","inputs":[6]},'
    '{"id":8,"op":"conv","inputs":[4],"bias":true,"kernel":1,"out_channels":8,"padding":0},'
    '{"id":9,"op":"weighted_add","inputs":[7,8]},{"id":10,"op":"concat","inputs":[4,9]},'
    '{"id":11,"op":"batch_norm","inputs":[10]},{"id":12,"op":"clip","inputs":[11]},'
    '{"id":13,"op":"max_pool","inputs":[12],"kernel":3,"padding":1},'
    '{"id":14,"op":"conv","inputs":[13],"groups":2,"kernel":3,"out_channels":8,"padding":1},'
    '{"id":15,"op":"batch_norm","inputs":[14]},{"id":16,"op":"clip","inputs":[15]},'
    '{"id":17,"op":"global_avg_pool","inputs":[16]},{"id":18,"op":"flatten","inputs":[17]},'
    '{"id":19,"op":"linear","inputs":[18],"out_features":10}]}'
)
FORMER = (  # as version 0.1.0 wrote it, with every field
    '{"version":1,"output":7,"nodes":[{"id":1,"op":"input","inputs":[],"channels":1,"height":8,"width":8},'
    '{"id":2,"op":"conv","inputs":[1],"out_channels":2,"kernel":3,"padding":1,"stride":2,"groups":1,"bias":false},'
    '{"id":3,"op":"batch_norm","inputs":[2]},{"id":4,"op":"clip","inputs":[3],"low":0.0,"high":"inf"},'
    '{"id":5,"op":"global_avg_pool","inputs":[4]},{"id":6,"op":"flatten","inputs":[5]},'
    '{"id":7,"op":"linear","inputs":[6],"out_features":10}]}'
)


def golden(name: str) -> Graph:
    return STARTS[name]()


def test_architecture_ids_are_what_they_were() -> None:
    assert {name: architecture_id(golden(name)) for name in IDS} == IDS


def test_json_is_what_it_was() -> None:
    assert to_json(golden("dense")) == DENSE
    assert from_json(DENSE) == golden("dense")


def test_json_of_version_0_1_0_is_read() -> None:
    assert architecture_id(from_json(FORMER)) == IDS["gap-2"]
