"""Does our training loop keep up with a bare PyTorch loop on the same network?

Method: a hand-written ``nn.Module`` of the same layers, trained as a tutorial would (torch.optim.SGD with its defaults, batches
cut from a shuffled, normalised tensor, no augmentation, one thread), against ``hwnas.training.train``, which shuffles,
normalises, schedules the learning rate and watches the loss besides. Short stretches of both alternate; the ratio of images per
second is taken within each pair and its median is reported for each network. The goal is on the smallest of these medians.

Command: ``python benchmarks/training_throughput.py``; the last result is in ``results/training_throughput.json``.
"""

import statistics
import time

import numpy as np
import record
import torch
import torch.nn.functional as F
from torch import nn

from hwnas.data import Augmentation, DataSet, Split, normalise
from hwnas.graph import BatchNorm, Clip, Conv, Flatten, GlobalAvgPool, Graph, Linear, MaxPool, cost
from hwnas.graph.ops import pair
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import Network, transfer
from hwnas.spaces import initial_graphs
from hwnas.training import TrainerSettings, train

QUESTION = "How many images a second does our training loop train, beside a bare PyTorch loop on the same network?"
CASES = (("digits", (1, 8, 8), 16, "float32"), ("cifar10", (3, 32, 32), 64, "float32"), ("cifar10", (3, 32, 32), 64, "bfloat16"))


def main() -> None:
    arguments = record.parser("training_throughput", QUESTION).parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rows: list[dict[str, float | str]] = []
    for name, shape, batch_size, precision in CASES:
        data = noise(shape)
        for recipe, graph in chains(shape):
            if "separable" in recipe and name == "cifar10" and arguments.quick:
                continue
            rows += compare(f"{name} {precision}", recipe, graph, data, batch_size, precision, 5 if arguments.quick else 15)
    ratios: dict[str, list[float]] = {}
    for row in rows:
        ratios.setdefault(f"{row['data']} {row['network']}", []).append(float(row["ratio"]))
    medians = {case: statistics.median(values) for case, values in ratios.items()}
    alike = {case: ratio for case, ratio in medians.items() if "bfloat16" not in case}
    record.finish(
        arguments,
        benchmark="training_throughput",
        question=QUESTION,
        results={
            "median_ratio": medians,
            "note": "bfloat16 rows compare our default on such CPUs with the bare float32 loop; the goal is on float32 alone",
        },
        rows=rows,
        goals=[record.at_least("throughput_ratio", min(alike.values()), 1, "times")],
    )


def chains(shape: tuple[int, int, int]) -> list[tuple[str, Graph]]:
    """The initial networks that are one layer after the other, which ``module`` can write by hand; not the residual ones."""
    return [(name, graph) for name, graph in initial_graphs(shape, 10) if all(len(node.inputs) <= 1 for node in graph)]


def compare(
    name: str, recipe: str, graph: Graph, data: DataSet, batch_size: int, precision: str, pairs: int
) -> list[dict[str, float | str]]:
    """Alternating stretches of both loops on one network."""
    ours = Network(graph, transfer([(graph, from_scratch(graph))], {}, torch.Generator().manual_seed(0)))
    bare = module(graph)
    settings = TrainerSettings(batch_size=batch_size, learning_rate=0.01, precision=precision)  # type: ignore[arg-type]
    images = 64 * batch_size if data.shape[1] < 16 else 12 * batch_size
    pixels = normalise(data.train.images, data)
    rows: list[dict[str, float | str]] = []
    for repeat in range(pairs + 1):
        generator = torch.Generator().manual_seed(repeat)
        taken = train(ours, data, settings=settings, augmentation=Augmentation(), images=images, generator=generator).seconds
        bare_taken = bare_loop(bare, pixels, data.train.labels, images, batch_size, generator)
        if repeat:  # the first warms both up
            row = {"ours_per_s": images / taken, "bare_per_s": images / bare_taken, "ratio": bare_taken / taken}
            rows.append({"data": name, "network": recipe, "parameters": cost(graph).parameters, **row})
    record.progress(f"{name} {recipe}: ratio {statistics.median(float(row['ratio']) for row in rows):.2f}")
    return rows


def bare_loop(
    network: nn.Module, pixels: torch.Tensor, labels: torch.Tensor, images: int, batch_size: int, generator: torch.Generator
) -> float:
    """What one writes first; gives the seconds it took."""
    network.train()
    started = time.monotonic()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    order = torch.randint(len(labels), (images,), generator=generator)
    for index in torch.split(order, batch_size):
        optimiser.zero_grad()
        loss = F.cross_entropy(network(pixels[index]), labels[index])
        torch.autograd.backward(loss)
        optimiser.step()
    return time.monotonic() - started


def module(graph: Graph) -> nn.Module:
    """The chain of torch layers that a plain graph is."""
    layers: list[nn.Module] = []
    for node in graph.nodes[1:]:
        channels = graph.input_shapes(node)[0][0]
        match node.op:
            case Conv() as op:
                layers.append(
                    nn.Conv2d(channels, op.out_channels, op.window, pair(op.stride), op.pads[:2], groups=op.groups, bias=op.bias)
                )
            case BatchNorm():
                layers.append(nn.BatchNorm2d(channels))
            case Clip():
                layers.append(nn.ReLU())
            case MaxPool() as op:
                layers.append(nn.MaxPool2d(op.window, pair(op.stride), op.pads[:2]))
            case GlobalAvgPool():
                layers.append(nn.AdaptiveAvgPool2d(1))
            case Flatten():
                layers.append(nn.Flatten())
            case Linear() as op:
                layers.append(nn.Linear(channels, op.out_features))
            case other:
                raise ValueError(f"not in a plain chain: {other}")
    return nn.Sequential(*layers)


def noise(shape: tuple[int, int, int]) -> DataSet:
    """Images of noise: what is in them does not change how fast they are trained on."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        images = torch.from_numpy(rng.integers(0, 256, (count, *shape), dtype=np.uint8))
        return Split(images=images, labels=torch.from_numpy(rng.integers(0, 10, count)))

    return DataSet.of("noise", tuple("0123456789"), split(4096), split(64), split(64))


if __name__ == "__main__":
    main()
