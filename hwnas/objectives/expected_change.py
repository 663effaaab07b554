"""What bit flips can be expected to change in a trained network's answers: see `hwnas.deployed.expected_change`."""

from typing import TYPE_CHECKING

from hwnas.objective import Objective
from hwnas.objectives.source import TrainedObjective

if TYPE_CHECKING:
    from hwnas.data import DataSet
    from hwnas.network import Network


class ExpectedChange(TrainedObjective):
    """The expected change of a network's activations as int8, on training images."""

    objective = Objective(
        name="expected_change", predicted=True, log_scale=True, resolution=0.25, relative=True, version=2, shown=True
    )

    def of_trained(self, network: "Network", data: "DataSet") -> float:
        """The value for the network's trained weights."""
        from hwnas.deployed.expected_change import expected_change

        return expected_change(network.graph, network.state(), data.train.images, mean=data.mean, std=data.std)

    def prepare(self) -> None:
        """Load its function: with scipy it takes most of a second and 90 MB."""
        import hwnas.deployed.expected_change  # noqa: F401
