"""The house rules of DESIGN.md, proved from the source: who may import whom, what loads torch, how large things get.

``MAY_IMPORT`` is the living copy of DESIGN.md's table. Where it differs from the page:

- experiment is a folder; it may import training (it chooses trainer settings and evaluates the front) and resilience (the
  sensitivity indices). campaign is its counterpart for fault campaigns, models what both do to a stored run.
- progress has what a run says of itself and its log file, free of torch; cli shows it and has an Objective's columns in tables.
- settings has the sections of a configuration, so that config knows them without torch; the parts that they set import them from
  there; and what names a user's own things there ("package.module:attribute").
- injection may import graph: it walks networks. api may: a search may begin with given graphs.
  report may import search: the front of what a run holds is that of a search.
  training may import graph: calibration follows its nodes; and candidate: a learning curve is among what came of one.
- objectives may import deployed, data, device and network, within functions or for their types: a trained network is what one of
  them is computed from, and whoever reads a run knows their names without torch.
- config may import search: a strategy brings its own section; and objective: the names of what is minimised by default.
- testing is for tests, ours and a user's: it sees whatever a contract speaks of.
- tracking writes what a run holds into experiment trackers: it reads the store as report does, and nothing imports it but api.
- onnxfiles reads what others wrote: graph is what it reads into; deployed computes what was read, and device's sessions what the
  file itself says, so that the two can be compared.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "hwnas"
FILES = sorted(ROOT.rglob("*.py"))

MAY_IMPORT: Mapping[str, str] = {
    "cli": "api campaign experiment objective progress report resilience",
    "api": "campaign config data device experiment export graph importing models objective objectives pareto progress report "
    "search settings store tracking",
    "campaign": "data deployed device execution export graph injection models network onnxfiles resilience store",
    "models": "config data deployed device execution export network resilience settings store training",
    "progress": "",
    "experiment": "candidate config data device estimate execution export graph importing models morphism network objective "
    "objectives pareto progress search settings spaces store training",
    "execution": "candidate data device export graph morphism network objectives settings training",
    "search": "candidate graph morphism objective pareto settings spaces",
    "report": "candidate graph objective objectives pareto search store",
    "tracking": "objective report store",
    "store": "candidate graph morphism objective",
    "spaces": "graph morphism",
    "candidate": "graph morphism objective",
    "training": "candidate data graph network settings",
    "export": "deployed device graph network objectives",
    "injection": "data deployed device export graph network onnxfiles resilience",
    "onnxfiles": "deployed device graph",
    "deployed": "graph network resilience",
    "importing": "device graph network onnxfiles settings",
    "network": "graph morphism",
    "estimate": "device graph resilience",
    "morphism": "graph settings",
    "resilience": "graph",
    "config": "device objective search settings",
    "graph": "",
    "pareto": "",
    "objective": "",
    "objectives": "data deployed device graph network objective resilience settings",
    "data": "settings",
    "device": "",
    "settings": "",
    "errors": "",
    "version": "",
    "testing": "candidate data deployed device export graph injection morphism network objective objectives "
    "resilience search settings spaces",
    "hwnas": "api graph network",  # hwnas/__init__.py, when a public name is first used
}
LIBRARIES: Mapping[str, set[str]] = {
    "torch": {
        "network",
        "importing",
        "data",
        "training",
        "deployed",
        "onnxfiles",
        "injection",
        "export",
        "execution",
        "experiment",
        "campaign",
        "models",
        "testing",
    },
    "onnxruntime": {"device", "export", "injection"},
    "plotly": {"report", "campaign"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "sqlite3": {"store"},
    "pebble": {"execution"},
    "asyncssh": {"device"},
    "ray": {"execution"},
    "mlflow": {"tracking"},
    "optuna": {"tracking"},
    "tensorboard": {"tracking"},
}
PYMOO = {"search/nsga2.py", "pareto/choosing.py"}
MODULES_WITHOUT_TORCH = (
    "hwnas.graph", "hwnas.spaces", "hwnas.morphism", "hwnas.resilience", "hwnas.estimate", "hwnas.pareto", "hwnas.search",
    "hwnas.device", "hwnas.store", "hwnas.report", "hwnas.report.page", "hwnas.pareto.choosing", "hwnas.config", "hwnas.settings",
    "hwnas.report.comparison", "hwnas.report.static", "hwnas.objectives", "hwnas.settings.reference", "hwnas.api",
    "hwnas.cli", "hwnas.cli.console", "hwnas.cli.fault_tables", "hwnas.tracking.mlflow_runs", "hwnas.tracking.optuna_study",
    "hwnas.tracking.tensorboard_events",
)  # fmt: skip
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60


def unit_of(module: str) -> str:
    """The folder or file right below hwnas that a module belongs to."""
    return module.split(".")[1] if "." in module else module


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module that a file imports, inside functions and for type checking too."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            name = node.module or ""
            yield from (f"hwnas.{alias.name}" for alias in node.names) if name == "hwnas" else (name,)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def arrows() -> Iterator[tuple[str, str, str]]:
    """(unit, imported unit, place) for every import of one part of hwnas by another."""
    for path in FILES:
        here = unit_of(module_of(path))
        for name in imports(path):
            there = unit_of(name)
            if name.split(".")[0] == "hwnas" and there not in (here, "errors", "version"):
                yield here, there, str(path.relative_to(ROOT))


def test_every_import_between_parts_is_in_the_table() -> None:
    forbidden = [f"{place}: {here} -> {there}" for here, there, place in arrows() if there not in MAY_IMPORT[here].split()]
    assert not forbidden


def test_the_table_names_what_there_is() -> None:
    parts = {unit_of(module_of(path)) for path in FILES}
    assert parts == set(MAY_IMPORT)
    assert {name for allowed in MAY_IMPORT.values() for name in allowed.split()} <= parts


def test_the_table_goes_down_only() -> None:
    tuple(TopologicalSorter({unit: allowed.split() for unit, allowed in MAY_IMPORT.items()}).static_order())


def test_no_module_imports_itself_in_a_circle() -> None:
    """Imports as Python runs them at start: those inside functions and for type checking come later or never."""
    known = {module_of(path) for path in FILES}
    edges: dict[str, set[str]] = {}
    for path in FILES:
        here = module_of(path)
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            for name in _targets(statement, known) if isinstance(statement, ast.Import | ast.ImportFrom) else ():
                if name in known and name != here:
                    edges.setdefault(here, set()).add(name)
    tuple(TopologicalSorter(edges).static_order())


def _targets(statement: ast.Import | ast.ImportFrom, known: set[str]) -> list[str]:
    """What a statement names: submodules where they are meant, else the module itself."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    submodules = [f"{statement.module}.{alias.name}" for alias in statement.names]
    return [name if name in known else statement.module or "" for name in submodules]


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_libraries_stay_where_they_belong(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in FILES
        for name in imports(path)
        if name.split(".")[0] == library and unit_of(module_of(path)) not in LIBRARIES[library]
    }
    assert not users


def test_pymoo_is_used_by_two_files_at_most() -> None:
    users = {path.relative_to(ROOT).as_posix() for path in FILES for name in imports(path) if name.split(".")[0] == "pymoo"}
    assert users <= PYMOO


def test_everything_without_torch_imports_with_torch_absent() -> None:
    program = (
        "import sys, importlib\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(f'torch is absent, but {name} is imported', name=name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
        f"for name in {MODULES_WITHOUT_TORCH}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_worker_and_a_search_import_does_not_load_scipy_stats() -> None:
    program = (
        "import sys, hwnas.experiment, hwnas.deployed.expected_change\n"
        "loaded = [name for name in sys.modules if name.startswith('scipy.stats')]\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_files_and_functions_keep_their_size() -> None:
    too_long = [f"{path}: {count} lines" for path in FILES if (count := len(path.read_text().splitlines())) > MAX_FILE_LINES]
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    too_long.append(f"{path}:{node.lineno} {node.name}: {lines} lines")
    assert not too_long


@pytest.mark.parametrize("banned", ["utils", "helpers", "common", "base"])
def test_no_module_is_called_after_nothing(banned: str) -> None:
    assert not [path for path in FILES if path.stem == banned]
