"""Training a network: the loop, calibration of new batch norms, evaluation."""

from hwnas.settings import TrainerSettings
from hwnas.training.calibration import CALIBRATION_IMAGES, calibrate
from hwnas.training.checkpoint import Checkpoint
from hwnas.training.evaluation import Evaluation, error_of_guessing, evaluate, evaluation_of
from hwnas.training.loop import Training, train
from hwnas.training.placement import device_of, training_device
from hwnas.training.schedule import learning_rate

__all__ = [
    "CALIBRATION_IMAGES",
    "Checkpoint",
    "Evaluation",
    "TrainerSettings",
    "Training",
    "calibrate",
    "device_of",
    "error_of_guessing",
    "evaluate",
    "evaluation_of",
    "learning_rate",
    "train",
    "training_device",
]
