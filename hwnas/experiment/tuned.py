"""From the training settings that a candidate carries to how it is trained."""

from collections.abc import Mapping
from dataclasses import replace

from hwnas.config import RunConfig
from hwnas.data import Augmentation
from hwnas.errors import ConfigError
from hwnas.search import TunedSetting
from hwnas.settings import TrainerSettings

# Low, high and shift of each (our choices): beyond them nothing sensible is trained.
_BOUNDS: Mapping[str, tuple[float, float, float]] = {
    "learning_rate": (1e-5, 10.0, 0.0),
    "weight_decay": (0.0, 0.1, 1e-5),
    "label_smoothing": (0.0, 0.3, 0.01),
    "augmentation": (0.0, 3.0, 0.05),
}
_RATES = ("learning_rate", "weight_decay")  # of a long training with another recipe: they follow it in proportion


def tuned_settings(config: RunConfig, trainer: TrainerSettings, usual: Augmentation) -> tuple[TunedSetting, ...]:
    """What the run tunes, none where it does not; ``usual`` augmentation without anything to strengthen is not tuned.

    Raises ConfigError for a setting that the run file fixes.
    """
    tuning = config.tuning
    if not tuning.enabled:
        return ()
    fixed = [name for name in tuning.settings if name in config.trainer.model_fields_set]
    fixed += ["augmentation"] if "augmentation" in tuning.settings and config.augmentation is not None else []
    if fixed:
        raise ConfigError(
            f"{', '.join(fixed)}: fixed in the run file and to be tuned. Leave out [trainer] {fixed[0]} (or [augmentation]), or "
            'say what to tune: [tuning] settings = ["weight_decay", ..]; [tuning.begin] says where a setting begins'
        )
    has_strength = bool(usual.crop_padding or usual.cutout or usual.mixup)
    begin = {"augmentation": 1.0} | {name: float(getattr(trainer, name)) for name in _BOUNDS if name != "augmentation"}
    return tuple(
        TunedSetting(name=name, begin=tuning.begin.get(name, begin[name]), low=low, high=high, shift=shift, step=tuning.step)
        for name, (low, high, shift) in _BOUNDS.items()
        if name in tuning.settings and (name != "augmentation" or has_strength)
    )


def trainer_of(training: Mapping[str, float | str], trainer: TrainerSettings) -> TrainerSettings:
    """The trainer with what a candidate carries in place of the run's."""
    own = {name: float(value) for name, value in training.items() if name != "augmentation"}
    return trainer.model_copy(update=own) if own else trainer


def final_trainer_of(training: Mapping[str, float | str], final: TrainerSettings, trainer: TrainerSettings) -> TrainerSettings:
    """The trainer of a long training with what a candidate carries: rates as many times the recipe's as they are the run's
    ``trainer``'s, label smoothing as it is."""
    own = {name: float(value) for name, value in training.items() if name != "augmentation"}
    for name in own.keys() & set(_RATES):
        usual = float(getattr(trainer, name))
        if usual > 0:
            own[name] = min(own[name] / usual * float(getattr(final, name)), _BOUNDS[name][1])
    return final.model_copy(update=own) if own else final


def augmentation_of(training: Mapping[str, float | str], augmentation: Augmentation) -> Augmentation:
    """The augmentation, as many times as strong as a candidate says; mirroring is not a matter of strength."""
    factor = float(training.get("augmentation", 1.0))
    return replace(
        augmentation,
        crop_padding=round(augmentation.crop_padding * factor),
        cutout=round(augmentation.cutout * factor),
        mixup=augmentation.mixup * factor,
    )
