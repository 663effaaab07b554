"""Lower precision, by ONNX Runtime's own tools: int8 by static quantisation (QDQ), float16 by conversion.

Import this module only where it is needed: the tools take a tenth of a second to import.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.transformers.float16 import convert_float_to_float16

from hwnas.export.emit import IMAGE, OFFSET, drop_unread

CALIBRATION_BATCH = 64
# Tells the quantiser that its pre-processing (folding, fusing, shape inference) has nothing to do: the emitter did it.
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
TRACES = (PREPARED[0], "onnx.infer")


def to_int8(model: bytes, calibration: NDArray[np.float32], *, reduce_range: bool) -> bytes:
    """The model with int8 weights (symmetric, one scale a filter), int32 biases and uint8 activations.

    Activations are uint8 because that is no less accurate than int8 and up to 15 % faster on x86. What remains of the image's
    normalisation is computed in float32: quantised, it would round the image twice.

    Args:
        model: what ``emit`` wrote.
        calibration: training images (n, C, H, W) in [0, 1], at least one: activations range from smallest to largest value seen.
        reduce_range: 7-bit weights, for x86 CPUs without int8 dot instructions, whose 16-bit sums saturate.
    """
    proto = onnx.load_model_from_string(model)
    normalisation = [node.name for node in proto.graph.node if OFFSET in node.input]
    proto.metadata_props.add(key=PREPARED[0], value=PREPARED[1])
    with TemporaryDirectory(prefix="hwnas-int8-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tool's own, about its temporary files
        target = Path(folder) / "int8.onnx"
        quantize_static(
            proto,
            target,
            _Batches(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=normalisation,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
        )
        quantised = onnx.load_model(target)
    drop_unread(quantised.graph)  # the bounds of clips that became scales
    return _without_traces(quantised)


def to_float16(model: bytes) -> bytes:
    """The model computed in float16; the image and the logits stay float32. Weights beyond float16's range are clipped to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one warning for each weight that is clipped or becomes 0
        converted = ONNXModel(convert_float_to_float16(onnx.load_model_from_string(model), keep_io_types=True))
    converted.topological_sort()  # the tool writes its casts last, even the image's
    return _without_traces(converted.model)


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # the tool's own interface, without types
    """The calibration images as the tool reads them."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        batches = np.split(images, range(CALIBRATION_BATCH, len(images), CALIBRATION_BATCH))
        self._batches: Iterator[NDArray[np.float32]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch, None after the last one."""
        batch = next(self._batches, None)
        return None if batch is None else {IMAGE: batch}


def _without_traces(proto: onnx.ModelProto) -> bytes:
    """The model's bytes with the metadata that we wrote and none of the tools'."""
    kept = [(entry.key, entry.value) for entry in proto.metadata_props if entry.key not in TRACES]
    onnx.helper.set_model_props(proto, dict(kept))
    serialised: bytes = proto.SerializeToString()
    return serialised
