"""Does a search train on a CUDA GPU, as fast as a bare PyTorch loop there, and is what it stores whole?

Method: ``hwnas search`` on CIFAR-10 with two workers, ``trainer.device`` cuda and bfloat16, for four minutes (``--quick``: two).
Then, on the CPU, the weights of every finished network are read back (all finite), each member of the front is evaluated again on
the validation split (its stored error, which the GPU computed, within one image) and the front is exported and verified. Last,
the largest initial network is trained on the GPU by ``hwnas.training.train``, which draws, normalises and moves each batch, and
by a bare loop whose images lie on the GPU already, both in bfloat16 autocast with a fused optimiser; short stretches of both
alternate, and the median ratio of images per second counts. At most 8 minutes.

Command: ``python benchmarks/gpu_check.py [--data PATH]``. Without a CUDA GPU it says so and exits with code 2. It has not been
run on a GPU yet: the goal on the throughput is a guess.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import record
import torch
import torch.nn.functional as F
from torch import nn
from training_throughput import module

from hwnas.api import open_run, verify
from hwnas.config import make_config
from hwnas.data import Augmentation, DataSet, DataSettings, load, normalise
from hwnas.experiment import start
from hwnas.graph import Graph
from hwnas.models.loading import stored_data, trained_state
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import Network, transfer
from hwnas.settings import TrainingDevice
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore
from hwnas.training import TrainerSettings, evaluate, train

QUESTION = "Does a search train on a GPU, how fast beside a bare PyTorch loop, and is what it stores whole?"
CIFAR10 = Path(__file__).parents[2] / "shared" / "data" / "cifar10"
WORKERS = 2
SEARCH_S, QUICK_SEARCH_S = 240, 120
BATCH_SIZE, STEPS, PAIRS = 64, 200, 9
LEAST_RATIO = 0.8


def main() -> None:
    parser = record.parser("gpu_check", QUESTION)
    parser.add_argument("--data", default=str(CIFAR10), metavar="PATH", help="images to search on; by default %(default)s")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        record.progress(f"torch {torch.__version__} finds no CUDA GPU here, and there are no figures without one")
        sys.exit(2)
    stamp = record.machine() | {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        searched = search(folder, arguments.data, QUICK_SEARCH_S if arguments.quick else SEARCH_S)
        rows = stored_networks(folder)
        passed = exported(folder, Path(scratch) / "bundle")
    speed = throughput(load(DataSettings(source=arguments.data)), "cuda", steps=STEPS, pairs=PAIRS)
    ratio = statistics.median(row["ratio"] for row in speed)
    apart = [row["images_apart"] for row in rows if row["images_apart"] is not None]
    record.finish(
        arguments,
        benchmark="gpu_check",
        question=QUESTION,
        results={**searched, "networks": len(rows), "front": len(apart), "files": len(passed), "throughput_ratio": ratio},
        rows=[*rows, *speed],
        goals=[
            record.at_least("weights_whole", share([row["whole"] for row in rows]), 1, "share of the networks"),
            record.at_most("error_apart", max(apart, default=None), 1, "images"),
            record.at_least("files_verified", share(passed), 1, "share of the files"),
            record.at_least("throughput_ratio", ratio, LEAST_RATIO, "times"),
        ],
        stamp=stamp,
    )


def share(held: Sequence[bool]) -> float | None:
    """The share of what held; None of nothing."""
    return sum(held) / len(held) if held else None


def search(folder: Path, source: str, budget_s: int) -> dict[str, Any]:
    """A search on the GPU: how many networks it trained, and how fast one of its workers did beside the other."""
    trainer = {"device": "cuda", "precision": "bfloat16"}
    started = time.monotonic()
    ended = start(
        make_config({"data": {"source": source}, "workers": WORKERS, "trainer": trainer, "budget": {"time": budget_s}}), folder
    )
    elapsed_s = time.monotonic() - started
    with RunStore.open(folder, write=False) as store:
        outcomes = [outcome for outcome in store.outcomes() if outcome.status == "finished"]
        failed = sum(outcome.status == "failed" for outcome in store.outcomes())
    images, seconds = sum(o.values["images"] for o in outcomes), sum(o.train_seconds for o in outcomes)
    record.progress(f"{ended.trained} networks trained in {elapsed_s:.0f} s, {failed} failed")
    counts = {"trained": ended.trained, "failed": failed, "elapsed_s": elapsed_s}
    return counts | {"images_per_s_of_a_worker": images / seconds if seconds else None}


def stored_networks(folder: Path) -> list[dict[str, Any]]:
    """Every finished network as it is read back, and how far, in images, the stored error of a front member is from the CPU's."""
    rows = []
    front = {entry.id for entry in open_run(folder).front()}
    with RunStore.open(folder, write=False) as store:
        data = stored_data(store)
        for row in store.rows():
            if row.outcome is None or row.outcome.status != "finished":
                continue
            state = trained_state(store, row)
            whole = all(tensor.device.type == "cpu" and bool(tensor.isfinite().all()) for tensor in state.values())
            apart = None
            if row.id in front:
                found = evaluate(Network(row.candidate.graph, state), data, data.validation)
                apart = abs(found.wrong - row.outcome.values["plain_error"] * found.images)
            rows.append({"id": row.id, "whole": whole, "images_apart": apart})
    record.progress(f"{len(rows)} networks read back, {len(front)} evaluated on the CPU")
    return rows


def exported(folder: Path, bundle: Path) -> list[bool]:
    """Which files of the front's bundle pass when they are checked again."""
    open_run(folder).export(bundle)
    return [check.passed for check in verify(bundle)]


def throughput(data: DataSet, device: TrainingDevice, *, steps: int, pairs: int) -> list[dict[str, Any]]:
    """Alternating stretches of our loop and a bare one on the largest initial network; the first pair warms both up."""
    name, graph = initial_graphs(data.shape, len(data.classes))[-1]
    ours, bare = _network(graph).to(device), module(graph).to(device)
    settings = TrainerSettings(batch_size=BATCH_SIZE, learning_rate=0.01, precision="bfloat16")
    pixels, labels = normalise(data.train.images, data).to(device), data.train.labels.to(device)
    images, rows = steps * BATCH_SIZE, []
    for pair in range(pairs + 1):
        generator = torch.Generator().manual_seed(pair)
        taken = train(ours, data, settings=settings, augmentation=Augmentation(), images=images, generator=generator).seconds
        bare_taken = bare_loop(bare, pixels, labels, images, generator)
        if pair:
            rows.append({"ours_per_s": images / taken, "bare_per_s": images / bare_taken, "ratio": bare_taken / taken})
    record.progress(f"{name}: {statistics.median(row['ratio'] for row in rows):.2f} times the bare loop's images per second")
    return rows


def _network(graph: Graph) -> Network:
    return Network(graph, transfer([(graph, from_scratch(graph))], {}, torch.Generator().manual_seed(0)))


def bare_loop(network: nn.Module, pixels: torch.Tensor, labels: torch.Tensor, images: int, generator: torch.Generator) -> float:
    """What one writes who knows his GPU: images on it, autocast, a fused optimiser; gives the seconds it took."""
    network.train()
    started = time.monotonic()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)
    order = torch.randint(len(labels), (images,), generator=generator).to(pixels.device)
    for index in torch.split(order, BATCH_SIZE):
        optimiser.zero_grad()
        with torch.autocast(pixels.device.type, torch.bfloat16):
            logits = network(pixels[index])
        loss = F.cross_entropy(logits.float(), labels[index])
        torch.autograd.backward(loss)
        optimiser.step()
    loss.item()  # waits for the GPU
    return time.monotonic() - started


if __name__ == "__main__":
    main()
