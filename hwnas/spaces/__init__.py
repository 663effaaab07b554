"""Where a search starts, and what its networks may become."""

from hwnas.spaces.whole_network import initial_graphs

__all__ = ["initial_graphs"]
