"""A graph with tensors: networks that torch trains, what it computes, and the transfer of weights from parent to child."""

from hwnas.network.compute import COMPUTE, Compute, computation, register_compute
from hwnas.network.network import Network, State
from hwnas.network.transfer import transfer

__all__ = ["COMPUTE", "Compute", "Network", "State", "computation", "register_compute", "transfer"]
