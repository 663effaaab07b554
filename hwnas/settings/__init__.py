"""What a user may set in each section of a configuration: values and their checks, free of torch."""

from hwnas.settings.augmentation import Augmentation
from hwnas.settings.data import DIGITS, IMAGENET, DataSettings, Fit
from hwnas.settings.rungs import Rungs
from hwnas.settings.trainer import TrainerSettings, TrainingDevice
from hwnas.settings.tuning import TUNABLE, Tuning

__all__ = [
    "DIGITS",
    "IMAGENET",
    "TUNABLE",
    "Augmentation",
    "DataSettings",
    "Fit",
    "Rungs",
    "TrainerSettings",
    "TrainingDevice",
    "Tuning",
]
