"""The clean pass over a micro-batch of images: what faults are compared with, and what they are computed from."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.deployed import Program
from hwnas.injection.predictions import classes_of


class CleanPass:
    """Each step's sums before its activation, its stored tensor, and the largest value in it; the logits and their classes."""

    def __init__(self, program: Program, images: Tensor) -> None:
        self.values: list[Tensor] = [program.image(images)]
        self.sums: list[Tensor] = [self.values[0]]
        for step in program.steps[1:]:
            self.sums.append(program.accumulate(step, [self.values[source] for source in step.reads], program.weights))
            self.values.append(program.finish(step, self.sums[-1]))
        self.largest = [largest(value) for value in self.values]
        self.logits: NDArray[np.float32] = self.values[-1].flatten(1).numpy()
        self.classes = classes_of(self.logits)


def largest(values: Tensor) -> float:
    """The largest absolute value; NaN where one of the values is."""
    low, high = torch.aminmax(values)
    return max(-float(low), float(high)) if low == low else float("nan")
