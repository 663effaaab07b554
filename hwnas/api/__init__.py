"""Everything that a script or the command line can do with a run.

``hwnas.experiment``, ``hwnas.device``, ``hwnas.export``, ``hwnas.injection``, ``hwnas.report.page``, ``hwnas.report.comparison``,
``hwnas.report.static`` and ``hwnas.pareto.choosing`` are imported inside the functions that need them: they load torch, ONNX
Runtime, plotly, matplotlib or pymoo, which seeing a front must not pay for.
"""

from hwnas.api.advising import suggested_time
from hwnas.api.comparing import compare
from hwnas.api.describing import data_card
from hwnas.api.ensembling import Ensemble, ensemble, ensemble_table
from hwnas.api.exported import checksum_lines, exported_table
from hwnas.api.fault_files import stage_listener, write_fault_plots, write_faults
from hwnas.api.faulting import faults
from hwnas.api.files import FAULTS, IMPORTED, MEASUREMENT, PLOTS, REPORT, Output, is_run
from hwnas.api.importing import inspect, inspected_facts, inspected_json
from hwnas.api.measuring import DeviceCheck, devices, measure, new_profile, profiles_folder
from hwnas.api.options import OPTIONS, default_folder
from hwnas.api.picking import Pick
from hwnas.api.run import Run, open_run
from hwnas.api.starting import configured, start
from hwnas.api.templates import default_config
from hwnas.api.verifying import BundleCheck, verify
from hwnas.report import against_original, beside_original, names_of, suggestions, why_of_no_use

__all__ = [
    "FAULTS",
    "IMPORTED",
    "MEASUREMENT",
    "OPTIONS",
    "PLOTS",
    "REPORT",
    "BundleCheck",
    "DeviceCheck",
    "Ensemble",
    "Output",
    "Pick",
    "Run",
    "against_original",
    "beside_original",
    "checksum_lines",
    "compare",
    "configured",
    "data_card",
    "default_config",
    "default_folder",
    "devices",
    "ensemble",
    "ensemble_table",
    "exported_table",
    "faults",
    "inspect",
    "inspected_facts",
    "inspected_json",
    "is_run",
    "measure",
    "names_of",
    "new_profile",
    "open_run",
    "profiles_folder",
    "stage_listener",
    "start",
    "suggested_time",
    "suggestions",
    "verify",
    "why_of_no_use",
    "write_fault_plots",
    "write_faults",
]
