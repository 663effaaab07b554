"""The wheel: built from this tree, installed elsewhere, it brings the hardware profiles and the command."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT))
    (path,) = out.glob("*.whl")
    return path


def run(*command: str, **settings: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **settings)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def test_the_wheel_holds_profiles_types_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    profiles = {f"hwnas/hardware_profiles/{path.name}" for path in (ROOT / "hardware_profiles").glob("*.toml")}
    assert profiles
    assert profiles <= names
    assert "hwnas/py.typed" in names
    templates = {f"hwnas/report/templates/{path.name}" for path in (ROOT / "hwnas" / "report" / "templates").iterdir()}
    assert {Path(name).suffix for name in templates} == {".j2", ".css", ".js"}
    assert templates <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_installed_elsewhere_it_lists_its_devices(wheel: Path, tmp_path: Path) -> None:
    """In another environment, which sees what this one has installed, hwnas itself excepted: nothing is downloaded."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    binaries = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    python = str(binaries / "python")
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", str(wheel))
    # Not a .pth inside: the editable hwnas of this environment is one too, and must not be read.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = run(python, "-c", "import hwnas; print(hwnas.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(site)
    listed = run(str(binaries / "hwnas"), "devices", cwd=tmp_path)
    for path in (ROOT / "hardware_profiles").glob("*.toml"):
        assert path.stem in listed
