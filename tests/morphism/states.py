"""Weights for tests: random, every channel alive, batch norms at the statistics of the images."""

from collections.abc import Iterable

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from hwnas.candidate import Candidate, Step
from hwnas.graph import BatchNorm, Graph
from hwnas.morphism import Morphed
from hwnas.network import Network, State, transfer
from hwnas.training.calibration import calibrate

torch.set_num_threads(1)


def images_for(graph: Graph, count: int = 128, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images (count, C, H, W) and labels (count,)."""
    generator = Generator().manual_seed(seed)
    images = torch.randn(count, *graph.shapes[graph.input.id], generator=generator)
    return images, torch.randint(graph.classes, (count,), generator=generator)


def state_for(graph: Graph, images: Tensor, seed: int = 0) -> State:
    """Weights such that training and eval mode agree on ``images`` and no activation is dead."""
    generator = Generator().manual_seed(seed)
    network = Network(graph)
    state = network.state_dict()
    for name, tensor in state.items():
        spread = (2 / tensor[0].numel()) ** 0.5 if tensor.dim() > 1 else 0.2
        centre = 1.0 if tensor.dim() == 1 and isinstance(graph[int(name.split(".")[0])].op, BatchNorm) else 0.0
        tensor.copy_(centre + spread * torch.randn(tensor.shape, generator=generator))

    def before(node, inputs):
        if isinstance(node.op, BatchNorm):
            state[f"{node.id}.running_mean"].copy_(inputs[0].mean((0, 2, 3)))
            state[f"{node.id}.running_var"].copy_(inputs[0].var((0, 2, 3), unbiased=False))

    with torch.no_grad():
        network.eval().walk(images, before=before)
    return network.state()


def child_of(state: State, steps: Iterable[Morphed], images: Tensor) -> Network:
    """The network at the end of the steps, its new batch norms calibrated."""
    taken = tuple(Step(operator="", graph=step.graph, inheritance=step.inheritance) for step in steps)
    child = Candidate(generation=1, slot=0, parents=("g0-0",), steps=taken)
    plans = [(step.graph, step.inheritance) for step in taken]
    network = Network(child.graph, transfer(plans, state, Generator().manual_seed(1)))
    calibrate(network, child.calibrated, images)
    return network


@torch.no_grad()
def logits(network: Network, images: Tensor) -> Tensor:
    """In eval mode."""
    return network.eval()(images)


@torch.no_grad()
def training_loss(network: Network, images: Tensor, labels: Tensor) -> float:
    """Cross-entropy with batch norms in training mode; the network's statistics stay."""
    kept = network.state()
    loss = float(cross_entropy(network.train()(images), labels))
    network.load(kept)
    return loss


def assert_same_function(parent: Network, child: Network, images: Tensor) -> None:
    """Eval-mode logits differ by at most 1e-5 x max(1, largest logit)."""
    expected = logits(parent, images)
    difference = float((logits(child, images) - expected).abs().max())
    assert difference <= 1e-5 * max(1.0, float(expected.abs().max())), difference
