"""ONNX Runtime's telemetry is off wherever hwnas runs it, unless the user has set it: no file at home, no name looked up."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import hwnas
from hwnas.device import agent
from hwnas.device.reference import reference_model

VARIABLE = "ORT_DISABLE_TELEMETRY"
PACKAGE = Path(hwnas.__file__).parent
OUTSIDE = [Path(agent.__file__), *sorted((PACKAGE.parent / "benchmarks").glob("*.py"))]  # run by themselves
MEASURE = ("-c", "from hwnas.cli import main; main()", "measure", "model.onnx", "--device", "local-cpu")
RUNTIME = {
    "providers": [{"name": "CPUExecutionProvider", "options": {}}],
    "threads": 1, "spinning": True, "cpu_fallback": True, "optimise": True,
}  # fmt: skip
WAIT_S = 12  # with telemetry on, the first name is looked up 4 to 12 seconds after the first session


def _is_import_of(statement: ast.stmt, package: str) -> bool:
    names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
    names += [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
    return any(name.split(".")[0] == package for name in names)


def _turns_it_off(statement: ast.stmt) -> bool:
    return ast.unparse(statement) == f"os.environ.setdefault('{VARIABLE}', '1')"


def _first_import(path: Path) -> tuple[bool, bool]:
    """Whether a file imports onnxruntime, and whether telemetry is off by then: by a statement, or by an import of hwnas."""
    is_off = False
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        is_off = is_off or _turns_it_off(statement) or _is_import_of(statement, "hwnas")
        if _is_import_of(statement, "onnxruntime"):
            return True, is_off
    return False, is_off


def test_the_package_turns_it_off_before_it_imports_any_library() -> None:
    statements = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body
    before = statements[: next(index for index, statement in enumerate(statements) if _turns_it_off(statement))]
    names = {alias.name for statement in before if isinstance(statement, ast.Import) for alias in statement.names}
    names |= {statement.module or "" for statement in before if isinstance(statement, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names | {"hwnas.version"}


def test_what_runs_by_itself_turns_it_off_before_it_imports_onnxruntime() -> None:
    importing = {path.name: is_off for path in OUTSIDE for imports, is_off in [_first_import(path)] if imports}
    assert {"agent.py", "latency_repeatability.py"} <= importing.keys()
    assert [name for name, is_off in importing.items() if not is_off] == []


def _run(arguments: tuple[str, ...], folder: Path, *, trace: Path | None = None, requests: str = "") -> None:
    """Run python with ``folder`` as its home, and nothing set that would turn telemetry off."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE and not name.startswith("XDG_")}
    command = [sys.executable, *arguments]
    if trace is not None:
        command = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmmsg,openat", "-o", str(trace), *command]
    environment |= {"HOME": str(folder), "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        command, input=requests, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def _requests() -> str:
    model = {"model": reference_model(), "feeds": {"image": np.zeros((1, 3, 32, 32), np.float32)}}
    requests: list[Mapping[str, object]] = [
        {"op": "configure", "runtime": RUNTIME, **model},
        {"op": "measure", **model, "half_width": 0.5, "time_limit_s": 0.2},
    ]
    return "".join(json.dumps(request, default=agent.encode) + "\n" for request in requests)


@pytest.mark.parametrize("what", ["measure", "agent"])
def test_nothing_is_written_to_the_home_folder(what: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(reference_model())
    if what == "measure":
        _run(MEASURE, tmp_path)
    else:
        shutil.copy(agent.__file__, tmp_path / "agent.py")
        _run(("agent.py",), tmp_path, requests=_requests())
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left - {"model.onnx", "agent.py"} == set()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["hwnas.injection", "agent"])
def test_no_name_is_looked_up_and_no_database_opened(module: str, tmp_path: Path) -> None:
    if shutil.which("strace") is None or subprocess.run(["strace", "-qq", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs strace, and leave to use it")
    (tmp_path / "model.onnx").write_bytes(reference_model())
    if module == "agent":
        shutil.copy(agent.__file__, tmp_path / "agent.py")
    program = (
        f"import time, {module}, onnxruntime\n"
        f"onnxruntime.InferenceSession('model.onnx', providers=['CPUExecutionProvider'])\ntime.sleep({WAIT_S})"
    )
    _run(("-c", program), tmp_path, trace=tmp_path / "calls.txt")
    calls = (tmp_path / "calls.txt").read_text().splitlines()
    assert calls
    assert [call for call in calls if "AF_INET" in call or "sendto(" in call or "sendmmsg(" in call] == []
    assert [call for call in calls if "Microsoft" in call or "onnxruntime.db" in call] == []


@pytest.mark.parametrize("program", ["import hwnas", f"import runpy; runpy.run_path({agent.__file__!r})"])
def test_what_the_user_set_stays(program: str) -> None:
    environment = {**os.environ, VARIABLE: "0", "PYTHONPATH": str(PACKAGE.parent)}
    program = f"import os\n{program}\nprint(os.environ['{VARIABLE}'])"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "0"
