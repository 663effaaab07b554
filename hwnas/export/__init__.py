"""Trained networks as ONNX files: written straight from graph and weights, checked, bundled, verified.

``hwnas.export.quantise`` (int8 and float16) is slow to import; ``convert`` loads it when it is needed.
"""

from hwnas.export.bundle import BundleEntry, Evaluation, Exported, ExportSettings, export_model, write_bundle
from hwnas.export.emit import class_names, emit
from hwnas.export.manifest import Checksums, Evaluated, Manifest, ModelFile, Variant, read_manifest
from hwnas.export.parity import Agreement, Predict, classification_error, compare, reference_logits, runtime
from hwnas.export.precision import PRECISIONS, Precision, convert, needs_reduced_range
from hwnas.export.verify import FileReport, verify_bundle

__all__ = [
    "PRECISIONS",
    "Agreement",
    "BundleEntry",
    "Checksums",
    "Evaluated",
    "Evaluation",
    "ExportSettings",
    "Exported",
    "FileReport",
    "Manifest",
    "ModelFile",
    "Precision",
    "Predict",
    "Variant",
    "class_names",
    "classification_error",
    "compare",
    "convert",
    "emit",
    "export_model",
    "needs_reduced_range",
    "read_manifest",
    "reference_logits",
    "runtime",
    "verify_bundle",
    "write_bundle",
]
