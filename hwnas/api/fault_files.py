"""How fault campaigns are reported: a line while they work, a JSON file and plots when they are done."""

import math
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from hwnas.api.files import Output

if TYPE_CHECKING:
    from hwnas.campaign import FaultReport, Stage
    from hwnas.campaign.campaign import Watch

EVERY_S = 2.0


def stage_listener(say: Callable[[str], None]) -> "Watch":
    """A listener that says where each network's campaign is, at most every two seconds."""
    from hwnas.campaign import as_text

    said: dict[str, float] = {}

    def watch(stage: "Stage") -> None:
        now = monotonic()
        if now - said.get(stage.model, -math.inf) >= EVERY_S:
            said[stage.model] = now
            say(as_text(stage))

    return watch


def write_faults(output: Output, report: "FaultReport", settings: Mapping[str, Any]) -> None:
    """Write every figure with its interval and every fault as JSON, under the ``settings`` that were asked for."""
    from hwnas.campaign import as_json

    output.write_json(as_json(report, settings))


def write_fault_plots(output: Output, report: "FaultReport") -> None:
    """Write the plots as one self-contained HTML page."""
    from hwnas.campaign.figures import figures_page

    output.write_text(figures_page(report))
