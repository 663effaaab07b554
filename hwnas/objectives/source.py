"""The four sources of an objective's value: the graph, the device's measurement, the trained network, and its evaluation.

An objective of a user's own is a class that derives from one of the first three, has an ``objective`` (its name, unit and how it
is compared and shown) and says its one method. Objects are made without arguments in worker processes and by a resumed run.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from hwnas.errors import HwnasError, ObjectiveError
from hwnas.graph import Graph
from hwnas.objective import Objective
from hwnas.objectives.error import Error

if TYPE_CHECKING:
    from hwnas.data import DataSet
    from hwnas.device import Latency
    from hwnas.network import Network


class GraphObjective(ABC):
    """A value that the graph alone decides: it is ``cheap``, so limits can be set on it and proposals are steered by it."""

    objective: Objective

    @abstractmethod
    def of_graph(self, graph: Graph) -> float:
        """The value of a network; the same for the same graph."""


class DeviceObjective(ABC):
    """A value that every measurement of a latency has beside it; it is known before a training, and not predicted."""

    objective: Objective

    @abstractmethod
    def of_device(self, measurement: "Latency") -> float | None:
        """The value in a measurement; None where the device does not tell it."""


class TrainedObjective(ABC):
    """A value of a trained network, computed by the worker that trained it."""

    objective: Objective

    @abstractmethod
    def of_trained(self, network: "Network", data: "DataSet") -> float:
        """The value of a network, on the CPU, with the run's data; choices are made by their training split."""

    def prepare(self) -> None:  # noqa: B027 - most have nothing to import
        """Import what ``of_trained`` needs, before the memory that a child takes is counted. By default nothing."""


Source: TypeAlias = GraphObjective | DeviceObjective | TrainedObjective | Error


def called(objective: Objective, compute: Callable[..., float | None], *arguments: object) -> float:
    """What an objective gives for these arguments, as a number. Raises ObjectiveError that names it for whatever it raises."""
    try:
        value = compute(*arguments)
        if value is None:
            raise ObjectiveError(objective.name, "the device does not tell it; leave it out")
        return float(value)
    except (HwnasError, MemoryError):
        raise
    except Exception as error:  # objectives may be a user's own, which can raise anything
        raise ObjectiveError(objective.name, f"{type(error).__name__}: {error}") from error


def checked(objective: Objective, compute: Callable[..., float | None], *arguments: object) -> float:
    """The same; raises ObjectiveError for what is not finite, and not above 0 where it is compared by its logarithm, too."""
    value = called(objective, compute, *arguments)
    if not math.isfinite(value):
        raise ObjectiveError(objective.name, f"its value must be finite, got {value}")
    if value <= 0 and (objective.log_scale or objective.relative):
        raise ObjectiveError(objective.name, f"its value must be above 0, as it is compared by its logarithm, got {value}")
    return value
