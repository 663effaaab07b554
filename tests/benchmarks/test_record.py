import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import record

ANSWER: dict[str, Any] = {
    "benchmark": "adding",
    "question": "How long does adding take?",
    "results": {"add_ms": np.float64(0.5), "sizes": np.array([1, 2])},
    "goals": [record.at_most("add_ms", np.float64(0.5), 1, "ms"), record.at_least("ratio", None, 2, "times")],
    "command": "python benchmarks/adding.py",
    "rows": [{"add_ms": 0.4}, {"add_ms": 0.6}],
}


@pytest.fixture(autouse=True)
def results_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_the_last_line_on_stdout_is_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    print("something before")
    record.record(**ANSWER, quick=False)
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(answer) == ["benchmark", "question", "machine", "command", "results", "goals"]
    assert answer["results"] == {"add_ms": 0.5, "sizes": [1, 2]}
    assert answer["goals"] == [
        {"name": "add_ms", "value": 0.5, "unit": "ms", "goal": 1, "met": True},
        {"name": "ratio", "value": None, "unit": "times", "goal": 2, "met": False},
    ]


def test_a_full_run_is_kept_with_its_rows_and_a_quick_one_leaves_it_alone(results_folder: Path) -> None:
    kept, out = results_folder / "adding.json", results_folder.parent / "elsewhere" / "quick.json"
    record.record(**ANSWER, quick=False)
    full = kept.read_bytes()
    assert json.loads(full)["rows"] == [{"add_ms": 0.4}, {"add_ms": 0.6}]
    record.record(**ANSWER | {"rows": []}, quick=True)
    record.record(**ANSWER | {"rows": []}, quick=True, out=out)
    assert kept.read_bytes() == full
    assert json.loads(out.read_text())["rows"] == []
    assert [path.name for path in results_folder.iterdir()] == ["adding.json"]


def test_finish_records_what_the_shared_parser_was_given(
    results_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(Path(record.__file__).parent / "adding.py"), "--quick"])
    answer = {name: value for name, value in ANSWER.items() if name != "command"}
    out = results_folder.parent / "quick.json"
    record.finish(record.parser("adding", "?").parse_args(["--quick", "--out", str(out)]), **answer)
    assert not results_folder.exists()
    assert json.loads(out.read_text())["command"] == "python benchmarks/adding.py --quick"
    assert json.loads(capsys.readouterr().out)["goals"][0]["met"] is True


@pytest.mark.parametrize(("bad", "error"), [(math.nan, ValueError), (object(), TypeError)])
def test_a_result_that_json_cannot_hold_leaves_the_kept_one_whole(
    bad: object, error: type[Exception], results_folder: Path
) -> None:
    record.record(**ANSWER, quick=False)
    full = (results_folder / "adding.json").read_bytes()
    with pytest.raises(error, match="JSON"):
        record.record(**ANSWER | {"results": {"add_ms": bad}}, quick=False)
    assert (results_folder / "adding.json").read_bytes() == full


@pytest.mark.parametrize(("value", "least", "most"), [(1.0, True, True), (0.9, False, True), (1.1, True, False)])
def test_a_goal_is_met_up_to_its_threshold(value: float, least: bool, most: bool) -> None:
    assert record.at_least("x", value, 1, "").met is least
    assert record.at_most("x", value, 1, "").met is most


def test_the_machine_stamp_says_what_the_figures_depend_on() -> None:
    stamp = record.machine()
    assert stamp["cpu"]
    assert 1 <= stamp["cores_usable"] <= stamp["cores_logical"]
    assert stamp["memory_bytes"] > 2**28
    assert stamp["libraries"]["numpy"] == np.__version__
    assert len(stamp["load_average"]) == 3
    assert stamp["date"].endswith("+00:00")
    json.dumps(stamp, allow_nan=False)


def test_a_benchmark_run_as_documented_finds_the_parser_and_names_its_command(tmp_path: Path) -> None:
    folder = Path(record.__file__).parent
    program = (
        f"import sys; sys.path[0] = {str(folder)!r}; import record; sys.argv[0] = {str(folder / 'adding.py')!r}\n"
        "given = record.parser('adding', 'Is 5 % met?').parse_args()\n"
        "print(given.quick, given.out, record.command())"
    )

    def run(*arguments: str) -> str:
        call = [sys.executable, "-c", program, *arguments]
        return subprocess.run(call, capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path).stdout

    assert run("--quick", "--out", "a b.json") == ("True a b.json python benchmarks/adding.py --quick --out 'a b.json'\n")
    assert "Is 5 % met?" in run("--help")
