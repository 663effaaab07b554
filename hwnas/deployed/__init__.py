"""What a deployed network computes: weights folded, one step for each stored tensor, its memory in a stored format."""

from hwnas.deployed.folding import Folded, fold
from hwnas.deployed.memory import Change, Memory
from hwnas.deployed.program import Program, Step, Weights

__all__ = ["Change", "Folded", "Memory", "Program", "Step", "Weights", "fold"]
