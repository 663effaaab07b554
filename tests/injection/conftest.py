"""One thread: these networks are far too small for two."""

import torch

torch.set_num_threads(1)
