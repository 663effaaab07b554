"""Where a network is trained: on a GPU where this process sees one, else on the CPU, or as the settings say."""

import os

import torch

from hwnas.errors import ConfigError
from hwnas.network import Network
from hwnas.settings import TrainingDevice


def training_device(wanted: TrainingDevice = "auto") -> torch.device:
    """``auto``: one of the CUDA GPUs that this process sees, over which processes spread; else Apple's MPS; else the CPU.

    Raises ConfigError where the device that is ``wanted`` is not there.
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    there = [name for name, is_there in found.items() if is_there]
    name = there[0] if wanted == "auto" else wanted
    if name not in there:
        raise ConfigError(f"trainer.device is {wanted}, but torch finds only {', '.join(there)} here; name one of these, or auto")
    return torch.device(name, os.getpid() % torch.cuda.device_count()) if name == "cuda" else torch.device(name)


def device_of(network: Network) -> torch.device:
    """Where a network's tensors are."""
    return next(network.parameters()).device
