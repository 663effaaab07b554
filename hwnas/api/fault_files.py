"""How fault campaigns are told: a line while they work, a JSON file and plots when they are done."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.api.files import write_json, write_text

if TYPE_CHECKING:
    from hwnas.injection import FaultReport, Stage


def stage_text(stage: "Stage") -> str:
    """Where a campaign is, in a line."""
    from hwnas.injection import as_text

    return as_text(stage)


def write_faults(path: Path, report: "FaultReport", settings: Mapping[str, Any]) -> None:
    """Write every figure with its interval and every fault as JSON, under the ``settings`` that were asked for."""
    from hwnas.injection import as_json

    write_json(path, as_json(report, settings))


def write_fault_plots(path: Path, report: "FaultReport") -> None:
    """Write the plots as one self-contained HTML page."""
    from hwnas.injection.figures import figures_page

    write_text(path, figures_page(report))
