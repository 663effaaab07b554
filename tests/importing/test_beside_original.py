"""The front of a run that began with a user's network is shown beside that network."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from hwnas.candidate import START
from hwnas.cli import app
from hwnas.experiment import start
from hwnas.importing import NetworkSource
from hwnas.report.original import against_original, beside_original
from tests.importing.brought import Digits, tiny


def entry(name: str, *, original: bool = False, front: bool = True, **values: float) -> SimpleNamespace:
    parents, operator = ((), START) if original else (("g0-0",), "prune_groups")
    row = SimpleNamespace(parents=parents, operator=operator, needed=values.get)
    return SimpleNamespace(id=name, on_front=front, value=values.get, row=row)


ORIGINAL = entry("g0-0", original=True, front=False, error=0.083, parameters=270_000.0, latency_ms=1.2)
FRONT = [
    entry("g3-1", error=0.0834, parameters=150_000.0, latency_ms=0.79),
    entry("g4-0", error=0.087, parameters=90_000.0, latency_ms=0.6),
    entry("g5-0", error=0.2, parameters=9_000.0, latency_ms=0.5),
]


def test_the_most_accurate_network_at_each_speed_is_named() -> None:
    assert beside_original([ORIGINAL, *FRONT]) == [
        "Your network g0-0: 8.30 % error, 270,000 parameters, 1.2 ms",
        "  1.5 times as fast: g3-1, 0.04 points more error",
        "  2 times as fast: g4-0, 0.4 points more error",
        "  3 times as fast: none yet",
    ]


def test_where_no_latency_is_known_sizes_are_compared() -> None:
    sizes = [
        entry(each.id, original=each is ORIGINAL, error=each.value("error"), parameters=each.value("parameters"))
        for each in (ORIGINAL, *FRONT)
    ]
    assert beside_original(sizes)[1] == "  1.5 times smaller: g3-1, 0.04 points more error"


def test_a_network_that_is_chosen_is_compared_in_a_sentence() -> None:
    everyone = [ORIGINAL, *FRONT]
    said = against_original(FRONT[1], everyone)
    assert said == "Beside your network g0-0: 0.4 points more error, 2 times as fast, 33 % of the parameters."
    assert against_original(ORIGINAL, everyone) == "It is your own network, as it came."
    assert against_original(FRONT[0], FRONT) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original") / "run"
    start(tiny(), folder, networks=[NetworkSource(given=Digits().eval())])
    return folder


@pytest.mark.parametrize("command", ["front", "pick", "report"])
def test_every_reader_of_such_a_run_sees_it(run: Path, command: str) -> None:
    done = CliRunner().invoke(app, [command, str(run)])
    assert done.exit_code == 0, done.output
    shown = (run / "report.html").read_text() if command == "report" else done.output
    assert "our network g0-0" in shown or (command == "pick" and "your own network" in shown)
