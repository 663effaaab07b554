"""How a network is trained to the end: one long schedule, and what fits the data.

Larger images: the recipe of [He2016] and [Goyal2017] (SGD with Nesterov momentum, batches of 128, a linear warm-up, weight decay
on weights alone), a rate that falls to 0 linearly, a moving average of the weights. Small images keep the run's own batches.
"""

from typing import Any

from hwnas.config import settings_of
from hwnas.data import Augmentation
from hwnas.experiment.context import LARGE_IMAGE_PIXELS, RunContext
from hwnas.training import TrainerSettings


def final_trainer(context: RunContext) -> TrainerSettings:
    """The settings of a training to the end: the recipe, then what ``[final.trainer]`` says."""
    recipe: dict[str, Any] = {
        "schedule": "linear",
        "warm_up": 0.1,
        "decay_vectors": False,
        "average": 0.999,
        "keep_best": True,
        "patience": 0.35,
        "distil_share": 1.0,
        "distil_mix": 0.5,
    }
    _, height, width = context.data.shape
    if height * width > LARGE_IMAGE_PIXELS:
        recipe |= {"batch_size": 128, "learning_rate": 0.2, "optimiser": "sgd", "weight_decay": 5e-4}
    return settings_of(
        TrainerSettings, {**context.trainer.model_dump(), **recipe, **context.config.final.trainer}, "[final.trainer]"
    )


def final_augmentation(context: RunContext, images: int) -> Augmentation:
    """The run's own augmentation, or what suits the data and a training on ``images`` images; then ``[final.augmentation]``."""
    usual = context.augmentation_for(images)
    own = context.config.final.augmentation
    known = {name: getattr(usual, name) for name in ("crop_padding", "flip", "cutout", "mixup")}
    return settings_of(Augmentation, {**known, **own}, "[final.augmentation]")
