"""Calibration of new batch norms (our definition, METHODS.md section 1).

A batch norm inserted with mean 0 and variance 1 passes every test in eval mode and wrecks the function at the first training
step, when it begins to normalise. So each new one gets the mean and variance of its own input over some training images, and
the scale and offset that undo them: it passes its input on in eval mode, and nearly so in training mode.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from hwnas.graph import BatchNorm, Node
from hwnas.network import Network
from hwnas.training.placement import device_of

CALIBRATION_IMAGES = 512


@torch.no_grad()
def calibrate(network: Network, nodes: Collection[int], images: Tensor) -> None:
    """Calibrate the batch norms ``nodes`` in place, in topological order, on normalised ``images`` (n, C, H, W)."""
    if not nodes:
        return
    state = network.state_dict()

    def before(node: Node, inputs: Sequence[Tensor]) -> None:
        if node.id not in nodes:
            return
        mean = inputs[0].mean((0, 2, 3))
        variance = inputs[0].var((0, 2, 3), unbiased=False)
        state[f"{node.id}.running_mean"].copy_(mean)
        state[f"{node.id}.running_var"].copy_(variance)
        assert isinstance(node.op, BatchNorm)
        state[f"{node.id}.weight"].copy_((variance + node.op.eps).sqrt())
        state[f"{node.id}.bias"].copy_(mean)

    training = network.training
    network.eval()
    network.walk(images.to(device_of(network)), before=before)
    network.train(training)
