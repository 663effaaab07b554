"""What the page says of a run's data and device, as names with texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.report.predictor import change_predictor_error, predictor_error
from hwnas.store import RunStore

_NAMES = {"memory_kb": "memory in kB", "int8_dot": "int8 dot instructions", "onnxruntime": "ONNX Runtime", "cpu": "CPU"}
Facts = dict[str, tuple[str, ...]]  # a name and its texts; several where the fact is a list, such as the names of classes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    name: str
    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCard:
    """What is read of the data card that a run holds: see ``hwnas.data.card``."""

    classes: tuple[_Class, ...]
    train: int
    validation: int
    test: int
    validation_from: str
    test_from: str
    augmentation: str
    noise_points: float
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]


def texts_of(fact: object) -> tuple[str, ...]:
    """A fact as texts: ``unknown`` for None."""
    if fact is None:
        return ("unknown",)
    return tuple(map(str, fact)) if isinstance(fact, list | tuple) else (str(fact),)


def card_of(store: RunStore) -> DataCard | None:
    """The data card of the run; None of one that an older version made. Raises StoreError where it is damaged."""
    found: DataCard | None = store.find_meta("data_card", DataCard)
    return found


def data_facts(store: RunStore) -> Facts:
    """What the run knows of its data."""
    shape = store.find_meta("shape")
    facts: dict[str, Any] = {
        "name": store.find_meta("data_name"),
        "images": " × ".join(map(str, shape)) if isinstance(shape, list) else shape,
    }
    card = card_of(store)
    if card is None:
        facts["classes"] = store.find_meta("classes")
    else:
        facts |= {
            "training images": f"{card.train:,}",
            "validation images": f"{card.validation:,}, {card.validation_from}",
            "test images": f"{card.test:,}, {card.test_from}",
            "changed at random in training": card.augmentation,
            "differences that are noise": f"validation errors less than {card.noise_points:.2g} points apart",
        }
        facts |= {name: said for name, said in (("left out", card.left_out), ("warnings", card.warnings)) if said}
    facts |= {
        "fingerprint": store.find_meta("data_fingerprint"),
        "sha256 of the test split": store.find_meta("test_sha256"),
        "images a child is trained on": store.find_meta("images_per_child"),
    }
    return {name: texts_of(fact) for name, fact in facts.items()}


def device_facts(store: RunStore) -> Facts:
    """What the run knows of its device, and where its latencies and errors are from."""
    fingerprint, profile = store.find_meta("device_fingerprint"), store.find_meta("profile")
    facts: dict[str, Any] = {"profile": profile["description"]} if isinstance(profile, dict) else {}
    if isinstance(fingerprint, dict):
        facts |= {_NAMES.get(str(name), str(name)): fact for name, fact in fingerprint.items()}
        facts["fingerprint"] = store.find_meta("device_fingerprint_sha256")
        if predicted := predictor_error(store):
            facts["latency predictor"] = predicted
    else:
        analytic = store.find_meta("device_fingerprint_sha256") is not None  # then it is the profile's own
        said = "computed from the profile's numbers" if analytic else "no objective and no limit of this run"
        facts["latency"] = f"{said}: nothing was measured"
    if predicted := change_predictor_error(store):
        facts["expected change predictor"] = predicted
    facts["errors computed"] = store.find_meta("errors_computed")
    return {name: texts_of(fact) for name, fact in facts.items()}


def limits_of(config: Mapping[str, Any], profile: object) -> dict[str, float]:
    """The limits that were set on objectives, by the configuration and the device's profile: the tighter one of each."""
    own = config.get("limits")
    found: dict[str, float] = dict(own) if isinstance(own, Mapping) else {}
    device = profile.get("limits") if isinstance(profile, Mapping) else None
    for name, value in (device or {}).items():
        if value is not None:
            objective = str(name).removeprefix("max_")
            found[objective] = min(found.get(objective, value), value)
    return found
