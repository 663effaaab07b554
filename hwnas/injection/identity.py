"""What a network computes, told apart from the words in its memory: a campaign goes on only with the same of both."""

import hashlib
from collections.abc import Collection

import onnx

from hwnas.deployed.program import Program


def program_sha256(program: Program) -> str:
    """Hash of a program's steps, of what becomes of the image, and of the full scales of its format."""
    return hashlib.sha256(repr((program.steps, program.normalisation, program.full_scales)).encode()).hexdigest()


def file_sha256(proto: onnx.ModelProto, words: Collection[str]) -> str:
    """Hash of what an ONNX file computes: all but its metadata and the initialisers named ``words``."""
    kept = onnx.ModelProto()
    kept.graph.CopyFrom(proto.graph)
    kept.opset_import.extend(proto.opset_import)
    kept.functions.extend(proto.functions)
    del kept.graph.initializer[:]
    kept.graph.initializer.extend(tensor for tensor in proto.graph.initializer if tensor.name not in words)
    return hashlib.sha256(kept.SerializeToString(deterministic=True)).hexdigest()
