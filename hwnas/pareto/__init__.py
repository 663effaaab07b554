"""Pareto mathematics on `(n, m)` arrays, every objective minimised; NaN and infinity are refused.

`hwnas.pareto.choosing` is imported by its own name: it loads pymoo, which a table of the front does not need.
"""

from hwnas.pareto.archive import AddReport, AddStatus, ParetoArchive, front
from hwnas.pareto.boxes import Resolution, boxes
from hwnas.pareto.density import Density, inverse_density_probabilities, sample
from hwnas.pareto.dominance import non_dominated, ranks
from hwnas.pareto.indicators import Bounds, hypervolume, hypervolume_contributions, normalise
from hwnas.pareto.selection import best_first

__all__ = [
    "AddReport",
    "AddStatus",
    "Bounds",
    "Density",
    "ParetoArchive",
    "Resolution",
    "best_first",
    "boxes",
    "front",
    "hypervolume",
    "hypervolume_contributions",
    "inverse_density_probabilities",
    "non_dominated",
    "normalise",
    "ranks",
    "sample",
]
