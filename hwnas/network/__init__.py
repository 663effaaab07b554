"""A graph with tensors: networks that torch trains, and the transfer of weights from parent to child."""

from hwnas.network.build import Network, State
from hwnas.network.importing import import_module
from hwnas.network.transfer import transfer

__all__ = ["Network", "State", "import_module", "transfer"]
