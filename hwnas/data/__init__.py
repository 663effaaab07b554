"""Data sets by name or path, their splits and augmentation."""

from hwnas.data.dataset import DataSet, Split
from hwnas.data.loading import load
from hwnas.data.settings import DataSettings

__all__ = ["DataSet", "DataSettings", "Split", "load"]
