"""The built-in data set: scikit-learn's 1,797 handwritten digits, 8 x 8, grey."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from hwnas.data.dataset import Split


def digits() -> Split:
    """Return all the digits, their 17 grey levels 0..16 spread over 0..255."""
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    return Split(images=torch.from_numpy(images), labels=torch.from_numpy(bunch.target.astype(np.int64)))
