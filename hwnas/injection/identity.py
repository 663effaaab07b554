"""What a network computes, as distinct from the words in its memory: a campaign continues only with the same of both."""

import hashlib
from collections.abc import Collection

import onnx

from hwnas.deployed.program import Program
from hwnas.graph.spelling import spelling


def program_sha256(program: Program) -> str:
    """Hash of a program's steps, of what becomes of the image, and of the full scales of its format, by canonical spelling.

    A step's shape and multiply-accumulates follow from the rest.
    """
    steps = tuple((s.name, s.layer, s.op, s.reads, s.views, s.activation, s.tensors) for s in program.steps)
    normalisation = tuple(None if part is None else tuple(part) for part in program.normalisation)
    full_scales = tuple(sorted(program.full_scales.items()))
    return hashlib.sha256(spelling((steps, normalisation, full_scales)).encode()).hexdigest()


def file_sha256(proto: onnx.ModelProto, words: Collection[str]) -> str:
    """Hash of what an ONNX file computes: all but its metadata and the initialisers named ``words``."""
    kept = onnx.ModelProto()
    kept.graph.CopyFrom(proto.graph)
    kept.opset_import.extend(proto.opset_import)
    kept.functions.extend(proto.functions)
    del kept.graph.initializer[:]
    kept.graph.initializer.extend(tensor for tensor in proto.graph.initializer if tensor.name not in words)
    return hashlib.sha256(kept.SerializeToString(deterministic=True)).hexdigest()
