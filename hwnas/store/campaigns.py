"""The figures of a run's fault campaigns: one JSON file for each network and fault model, in a folder beside the campaigns.

A campaign on other networks, or with other settings, adds files; the same one gone on with replaces its own.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from hwnas.errors import StoreError
from hwnas.store.codec import json_text, json_value

FOLDER = "faults"  # in a run's folder: the campaigns, each in a file of its own
FIGURES = "fault_figures"  # there too: what came of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDrop:
    """Points of accuracy lost, on average, by one fault in the memory of a layer; None where too few faults hit it.

    ``expected`` and ``changed`` are shares in [0, 1] of what faults do to the whole network: of the change that flips are
    expected to make, computed from the trained weights, and of the answers that the campaign's faults changed. None: not known.
    """

    layer: str
    bits: int
    drop: Interval | None
    expected: float | None = None
    changed: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleFigures:
    """One fault at a time: its mean drop in points, the share of faults that cost more than a point, and the drop by layer.

    ``device_drop``: points lost at one fault per million bits.
    """

    faults: int
    bits: int
    drop: Interval
    critical: Interval
    device_drop: Interval
    layers: tuple[LayerDrop, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveFigures:
    """Accuracy, a share in [0, 1], at each bit error rate; ``clean`` without faults, ``chance`` of guessing."""

    bers: tuple[float, ...]
    accuracies: tuple[Interval, ...]
    clean: float
    chance: float
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFigures:
    """What one campaign found out about one network: ``single`` or ``curve``, as its fault model is.

    ``model``: a candidate's id, or the name of an ONNX file.
    """

    model: str
    dtype: str
    target: str
    fault: str
    seed: int
    clean_error: float
    single: SingleFigures | None = None
    curve: CurveFigures | None = None

    @property
    def name(self) -> str:
        """The name of its file, without its end; the campaign's own file has the same."""
        return f"{self.model}-{self.dtype}-{self.target}-{self.fault}-seed{self.seed}"


def write_figures(run: Path, figures: CampaignFigures) -> None:
    """Keep the figures of a campaign in a run's folder, whole or not at all. Raises StoreError where they cannot be written."""
    folder = run / FIGURES
    path = folder / f"{figures.name}.json"
    text = json_text(asdict(figures), f"the figures of {figures.name}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{uuid4().hex}.tmp"
        beside.write_text(text + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; the campaign itself is kept") from error


def read_figures(run: Path) -> list[CampaignFigures]:
    """The figures of every campaign of a run, in the order of their names. Raises StoreError naming a file that is damaged."""
    found = []
    for path in sorted((run / FIGURES).glob("*.json")):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{path} is damaged: {error}; move it away, the same campaign writes it again") from None
        found.append(json_value(text, str(path), CampaignFigures))
    return found


def as_plain(figures: CampaignFigures) -> dict[str, object]:
    """The figures as JSON can hold them."""
    plain: dict[str, object] = json.loads(json_text(asdict(figures), figures.name))
    return plain
