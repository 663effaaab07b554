"""Data sets by name or path, their splits and augmentation."""

from hwnas.data.augmentation import default_augmentation
from hwnas.data.balance import class_weights
from hwnas.data.batches import Place, evaluation_batches, normalise, step_count, training_batches
from hwnas.data.card import ClassCounts, DataCard, describe
from hwnas.data.dataset import DataSet, Split
from hwnas.data.loading import load
from hwnas.data.origin import Origin
from hwnas.settings import Augmentation, DataSettings

__all__ = [
    "Augmentation",
    "ClassCounts",
    "DataCard",
    "DataSet",
    "DataSettings",
    "Origin",
    "Place",
    "Split",
    "class_weights",
    "default_augmentation",
    "describe",
    "evaluation_batches",
    "load",
    "normalise",
    "step_count",
    "training_batches",
]
