"""What a network's deployed file is made with: images as it takes them, images to calibrate it, the range of its int8 weights."""

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.data import DataSet, Split
from hwnas.device import Fingerprint, HardwareProfile
from hwnas.export import needs_reduced_range

CALIBRATION_IMAGES = 256


def reduces_range(profile: HardwareProfile, fingerprint: Fingerprint | None) -> bool:
    """Whether int8 files are made with 7-bit weights: for the run's device, or this machine where that is what the profile means.

    A device elsewhere that was never reached (``fingerprint`` None), because nothing is measured there, gets 8 bits.
    """
    if fingerprint is None and profile.kind == "onnxruntime" and profile.connection.type == "local":
        fingerprint = Fingerprint.here()
    return fingerprint is not None and needs_reduced_range(fingerprint)


def calibration_images(data: DataSet) -> NDArray[np.float32]:
    """Training images, evenly spread over the split, that activations' ranges are taken from: float32 (n, C, H, W) in [0, 1]."""
    images = len(data.train)
    count = min(images, CALIBRATION_IMAGES)
    return pixels(data.train.rows(torch.arange(count) * images // count))


def pixels(split: Split) -> NDArray[np.float32]:
    """Images float32 (n, C, H, W) in [0, 1], as an exported model takes them."""
    return (split.images.float() / 255).numpy()
