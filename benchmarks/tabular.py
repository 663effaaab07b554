"""Which strategy's selection finds the front of error and measured latency with the fewest trained networks?

Method: NAS-Bench-201 (15,625 cells, trained by others) joined with latencies that others measured (../shared/data/nasbench201),
so the true front is known and a query costs nothing. Strategies are adapted to the table: a network is a cell of six edges with
one of five operations each; an operator sets one edge to another operation; a cell that computes the same as one that was tried
is known (``rep_idx``); cells whose input does not reach their output are left out. Everything else is the strategies' own code:
selection and survival of hwnas.search, density and sampling of hwnas.pareto, 8 children a generation, 64 proposals and one to
three operators for LEMONADE, whose cheap objective is the latency. All begin with the same 8 random cells; random search draws
cells of the table uniformly (it needs no operators). A query gives the validation error (200 epochs) and the latency.

Quality: the hypervolume of what was found over (error, log latency), as a share of that of the true front, in the box of all
cells; medians over 30 seeds after 50, 100 and 200 queries, with quartiles. Devices: Raspberry Pi 5 under ONNX Runtime, Xeon
Gold 6226, Raspberry Pi 4. ``noise``: the Pi 5's latencies with their measured variance, LEMONADE's front by plain dominance and
in boxes of a tenth of the latency (hwnas's own resolution); judged by the true values of the front that it ends with.

- lemonade_over_nsga2, lemonade_over_random: ratios of the medians at 200 queries, the least over the devices.

    python benchmarks/tabular.py [--quick]
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import record

from hwnas.graph import Graph
from hwnas.objective import Objective
from hwnas.pareto import (
    Bounds,
    Density,
    Resolution,
    front,
    hypervolume,
    inverse_density_probabilities,
    sample,
)
from hwnas.search import Problem
from hwnas.search.aging import AgingSettings
from hwnas.search.evolution import Evolution, Member
from hwnas.search.nsga2 import Nsga2Settings
from hwnas.spaces import initial_graphs

QUESTION = "Which strategy's selection finds the front of error and measured latency with the fewest trained networks?"
TABLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "nasbench201" / "nasbench201_joined.npz"
DEVICES = {"pi5": "lat_ms_pi5_ort", "gold_6226": "lat_ms_gold_6226", "pi4": "lat_ms_raspi4"}
NOISE = "latvar_ms2_pi5_ort"
EDGES, OPERATIONS = 6, 5
BEGIN, ACCEPTED, PROPOSALS, MAX_OPERATORS, DRAWS = 8, 8, 64, 3, 16
QUERIES = (50, 100, 200)
SEEDS, QUICK_SEEDS = 30, 5
BOX = 0.1  # of the latency: hwnas's resolution in a search
OBJECTIVES = (Objective(name="error"), Objective(name="latency_ms", cheap=True, log_scale=True))
PLAIN = (Resolution(size=0.0, relative=False), Resolution(size=0.0, relative=False))
BOXED = (Resolution(size=0.0, relative=False), Resolution(size=BOX, relative=True))

Row = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Connected cells: their operations (n, 6), error in per cent, latency and its standard deviation in ms, identities."""

    operations: np.ndarray
    errors: np.ndarray
    latencies: np.ndarray
    noise: np.ndarray
    identities: np.ndarray
    index: Mapping[bytes, int]

    @property
    def bounds(self) -> list[Bounds]:
        """The box of all cells."""
        logs = np.log10(self.latencies)
        return [
            Bounds(low=float(self.errors.min()), high=float(self.errors.max())),
            Bounds(low=float(logs.min()), high=float(logs.max())),
        ]

    def hypervolume(self, cells: Sequence[int]) -> float:
        """The share of the box that cells dominate."""
        points = [[float(self.errors[cell]), float(np.log10(self.latencies[cell]))] for cell in cells]
        return hypervolume(points, self.bounds)


def table(latency: str, noise: str | None = None) -> Table:
    """The table with one device's latencies."""
    held = np.load(TABLE, allow_pickle=False)
    chosen = held["connected"] & np.isfinite(held[latency]) & (held[latency] > 0) & np.isfinite(held["val_c10"])
    operations = np.stack([held[f"op_{edge}"] for edge in ("0_1", "0_2", "1_2", "0_3", "1_3", "2_3")], 1)[chosen].astype(np.int8)
    spread = np.sqrt(held[noise][chosen]) if noise else np.zeros(int(chosen.sum()))
    return Table(
        operations=operations,
        errors=100 - held["val_c10"][chosen].astype(float),
        latencies=held[latency][chosen].astype(float),
        noise=np.nan_to_num(spread.astype(float)),
        identities=held["rep_idx"][chosen],
        index={row.tobytes(): number for number, row in enumerate(operations)},
    )


class Search:
    """One search on a table: what was queried, in order, with the values that the query gave."""

    def __init__(self, cells: Table, seed: int) -> None:
        self.cells = cells
        self.rng = np.random.default_rng(seed)
        self.noise = np.random.default_rng([seed, 1])
        self.known: set[int] = set()
        self.queried: list[int] = []
        self.rows: list[Row] = []
        while len(self.queried) < BEGIN:
            self.query(self.anything())

    def anything(self) -> int:
        """A cell of the table, uniformly, whose computation is not known."""
        while True:
            cell = int(self.rng.integers(len(self.cells.errors)))
            if int(self.cells.identities[cell]) not in self.known:
                return cell

    def query(self, cell: int) -> None:
        """Train and measure a cell."""
        self.known.add(int(self.cells.identities[cell]))
        latency = float(self.cells.latencies[cell])
        measured = max(latency + float(self.cells.noise[cell]) * float(self.noise.standard_normal()), 0.1 * latency)
        self.queried.append(cell)
        self.rows.append((float(self.cells.errors[cell]), measured))

    def child(self, cell: int) -> int | None:
        """A cell by one to three operators; None where it is disconnected or known."""
        operations = self.cells.operations[cell].copy()
        for _ in range(int(self.rng.integers(1, MAX_OPERATORS + 1))):
            edge = int(self.rng.integers(EDGES))
            operations[edge] = (operations[edge] + self.rng.integers(1, OPERATIONS)) % OPERATIONS
        found = self.cells.index.get(operations.tobytes())
        return None if found is None or int(self.cells.identities[found]) in self.known else found

    def front(self, resolutions: Sequence[Resolution]) -> list[int]:
        """The places, among those queried, of the front."""
        names = [str(place) for place in range(len(self.rows))]
        return [int(name) for name in front(names, self.rows, self.rows, resolutions)]


def random_search(search: Search, wanted: int) -> None:
    """Cells of the table, uniformly."""
    while len(search.queried) < wanted:
        search.query(search.anything())


def lemonade(
    search: Search, wanted: int, density: Literal["kernel", "uniform"] = "kernel", resolutions: Sequence[Resolution] = PLAIN
) -> None:
    """Steps 2 to 6 of ``hwnas.search.lemonade``."""
    while len(search.queried) < wanted:
        members = search.front(resolutions)
        fitted = Density.fit([[search.rows[place][1], 0.0] for place in members], log=[True, False])

        def weights(values: np.ndarray) -> np.ndarray:
            return np.full(len(values), 1 / len(values)) if density == "uniform" else inverse_density_probabilities(values)

        found: dict[int, int] = {}
        for _ in range(DRAWS):
            parents = sample(weights(fitted.fitted), PROPOSALS, replace=True, rng=search.rng)
            children = (search.child(search.queried[members[place]]) for place in parents)
            found |= {int(search.cells.identities[cell]): cell for cell in children if cell is not None}
            if found:
                break
        else:
            search.query(search.anything())
            continue
        proposals = list(found.values())
        values = fitted.evaluate([[float(search.cells.latencies[cell]), 0.0] for cell in proposals])
        chosen = sample(weights(values), min(ACCEPTED, len(proposals)), replace=False, rng=search.rng)
        for place in chosen[: wanted - len(search.queried)]:
            search.query(proposals[int(place)])


def evolved(made: Callable[[Problem], Evolution]) -> Callable[[Search, int], None]:
    """A strategy with a population: its own selection and survival, on cells."""

    def run(search: Search, wanted: int) -> None:
        space: tuple[Graph, ...] = tuple(graph for _, graph in initial_graphs((1, 8, 8), 10))
        strategy = made(Problem(objectives=OBJECTIVES, initial=space, cheap=lambda graphs: [], seed=0))
        population: list[Member] = []
        told = 0
        while len(search.queried) < wanted:
            for place in range(told, len(search.queried)):
                member = Member(candidate=search.queried[place], row=search.rows[place])  # type: ignore[arg-type]
                population = strategy.survivors([*population, member])
            told = len(search.queried)
            children: dict[int, int] = {}
            for _ in range(DRAWS):
                for parent in strategy.selected(population, ACCEPTED - len(children), search.rng):
                    cell = search.child(int(parent))  # type: ignore[call-overload]
                    if cell is not None:
                        children.setdefault(int(search.cells.identities[cell]), cell)
                if len(children) == ACCEPTED:
                    break
            for cell in list(children.values())[: wanted - len(search.queried)] or [search.anything()]:
                search.query(cell)

    return run


STRATEGIES: Mapping[str, Callable[[Search, int], None]] = {
    "lemonade": lemonade,
    "lemonade, uniform": lambda search, wanted: lemonade(search, wanted, "uniform"),
    "nsga2": evolved(lambda problem: Nsga2Settings().begin(problem)),
    "aging-evolution": evolved(lambda problem: AgingSettings().begin(problem)),
    "random": random_search,
}


def row_of(cells: Table, device: str, name: str, run: Callable[[Search, int], None], seed: int, whole: float) -> dict[str, Any]:
    """One search, and the share of the true hypervolume that it has after each number of queries."""
    search = Search(cells, seed)
    shares = {}
    for queries in QUERIES:
        run(search, queries)
        shares[str(queries)] = cells.hypervolume(search.queried) / whole
    return {"device": device, "strategy": name, "seed": seed, "shares": shares}


def noisy_row(cells: Table, name: str, resolutions: Sequence[Resolution], seed: int, whole: float) -> dict[str, Any]:
    """One search with noise, judged by the true values of the front that it ends with."""
    search = Search(cells, seed)
    shares = {}
    for queries in QUERIES:
        lemonade(search, queries, resolutions=resolutions)
        chosen = [search.queried[place] for place in search.front(resolutions)]
        shares[str(queries)] = cells.hypervolume(chosen) / whole
    return {"device": "pi5, noise", "strategy": name, "seed": seed, "shares": shares}


def figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Median and quartiles of each device, strategy and number of queries."""
    found: dict[str, Any] = {}
    for device in dict.fromkeys(row["device"] for row in rows):
        mine = [row for row in rows if row["device"] == device]
        for name in dict.fromkeys(row["strategy"] for row in mine):
            shares = [row["shares"] for row in mine if row["strategy"] == name]
            found.setdefault(device, {})[name] = {
                str(queries): [float(q) for q in np.percentile([each[str(queries)] for each in shares], (50, 25, 75))]
                for queries in QUERIES
            }
    return found


def ratio(found: Mapping[str, Any], other: str) -> float:
    """The least ratio, over the devices, of LEMONADE's median at the most queries to another strategy's."""
    last = str(QUERIES[-1])
    return min(float(found[device]["lemonade"][last][0] / found[device][other][last][0]) for device in DEVICES)


def main() -> None:
    arguments = record.parser("tabular", QUESTION).parse_args()
    seeds = QUICK_SEEDS if arguments.quick else SEEDS
    rows: list[dict[str, Any]] = []
    for device, column in DEVICES.items():
        cells = table(column)
        whole = cells.hypervolume(range(len(cells.errors)))
        for name, run in STRATEGIES.items():
            rows += [row_of(cells, device, name, run, seed, whole) for seed in range(seeds)]
            last = statistics.median(row["shares"][str(QUERIES[-1])] for row in rows[-seeds:])
            record.progress(f"{device}: {name}: {last:.4f} of the true hypervolume after {QUERIES[-1]} queries")
    cells = table(DEVICES["pi5"], NOISE)
    whole = cells.hypervolume(range(len(cells.errors)))
    for name, resolutions in (("plain dominance", PLAIN), ("boxes", BOXED)):
        rows += [noisy_row(cells, name, resolutions, seed, whole) for seed in range(seeds)]
        last = statistics.median(row["shares"][str(QUERIES[-1])] for row in rows[-seeds:])
        record.progress(f"pi5 with noise: {name}: {last:.4f}")
    found = figures(rows)
    goals = [
        record.at_least("lemonade_over_nsga2", ratio(found, "nsga2"), 1.0, "ratio"),
        record.at_least("lemonade_over_random", ratio(found, "random"), 1.0, "ratio"),
    ]
    record.finish(arguments, benchmark="tabular", question=QUESTION, results=found, rows=rows, goals=goals)


if __name__ == "__main__":
    main()
