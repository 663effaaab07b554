"""How accurate are the networks that a two-hour search on CIFAR-10 gives, with all cores?

Method: ``hwnas search --data ../shared/data/cifar10 --time-budget 2h`` as it is, one run, the machine with nothing else to do.
Figures: the least test error of the front's members with at most 100,000 and at most 300,000 parameters, from the run's final
evaluation. Beside each, the test error of the member of that size whose *validation* error is least, as a user would choose.
``--quick`` searches for 4 minutes, claims no goal and keeps nothing. The run's folder is ``--run F`` where that is given
(a run that is finished is only read), else runs/two_hours.

    python benchmarks/two_hours.py [--run F] [--quick]
"""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import record
from front_goals import chosen_test_error, least_test_error
from hwnas_command import candidates, front, hwnas

from hwnas.api import is_run, open_run
from hwnas.config import config_from_json
from hwnas.store import RunStore

QUESTION = "How accurate are the networks that a two-hour search on CIFAR-10 gives, with all cores?"
REPOSITORY = Path(__file__).resolve().parents[1]
DATA = "../shared/data/cifar10"
BUDGET_S, QUICK_BUDGET_S = 2 * 3600, 4 * 60
GOALS = {"error_100k": (100_000, 0.12), "error_300k": (300_000, 0.095)}


def main() -> None:
    parser = record.parser("two_hours", QUESTION)
    parser.add_argument("--run", type=Path, default=REPOSITORY / "runs" / "two_hours", metavar="F", help="folder of the run")
    arguments = parser.parse_args()
    stamp = record.machine()
    if arguments.quick:
        with tempfile.TemporaryDirectory() as scratch:
            members, results = searched(Path(scratch) / "run", QUICK_BUDGET_S)
    else:
        members, results = searched(arguments.run.resolve(), BUDGET_S)
    goals = [] if arguments.quick else [record.at_most(name, results[name], goal, "share") for name, (_, goal) in GOALS.items()]
    record.finish(arguments, benchmark="two_hours", question=QUESTION, results=results, rows=members, goals=goals, stamp=stamp)


def searched(folder: Path, budget_s: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Search, unless the folder holds the finished search already; the front, and what it is worth.

    Raises SystemExit where the folder holds a run that is not finished or had another time budget.
    """
    if not is_run(folder):
        command = hwnas("search", "--data", DATA, "--time-budget", f"{budget_s}s", "--out", str(folder))
        subprocess.run(command, check=True, cwd=REPOSITORY)
    with RunStore.open(folder, write=False) as store:
        had_s = config_from_json(store.config).budget.time
    if had_s != budget_s or open_run(folder).ended() is None:
        raise SystemExit(
            f"expected a finished run of {budget_s} s in {folder}, it had {had_s} s or is not finished; name another"
        )
    members, everyone = front(folder), candidates(folder)
    trained = {
        "trained": sum(candidate["images"] is not None for candidate in everyone),
        "images": sum(candidate["images"] or 0 for candidate in everyone),
        "front_size": len(members),
    }
    return members, figures(members) | trained


def figures(members: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The errors by size, each beside that of the network that validation chooses; None where the front has none so small."""
    tested = [member for member in members if member["test_error"] is not None]
    return {name: least_test_error(tested, most) for name, (most, _) in GOALS.items()} | {
        f"{name}_chosen": chosen_test_error(tested, most) for name, (most, _) in GOALS.items()
    }


if __name__ == "__main__":
    main()
