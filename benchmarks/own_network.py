"""A trained ResNet-20 on CIFAR-10 made 1.5, 2 and 3 times as fast: by hwnas, and by Torch-Pruning with the same training images.

Method: the third party's ResNet-20 of ../shared/data/resnet20_cifar10. The first 5,000 images of the test file select
(validation), the other 5,000 give the errors; it was trained on all training images, and chosen on the test file by whoever
trained it. ``hwnas search --start .. --time-budget 60m`` with both cores, final training included. Then, for each speed,
Torch-Pruning (group norm importance, over the whole network, widths in multiples of 8; the share found so that the *measured*
latency in ONNX Runtime is so many times less) and a training with hwnas's own loop, settings of the final training and teacher
(the original); the three get together as many training images as the whole search did. All networks are exported by the same
exporter and measured in one sitting, interleaved. Three seeds, an hour of search and about one of training each; medians over the
seeds; goals:

- error_gain_2x_points: median over the three speeds of the pruned network's error minus the front's least at no more than its
  latency, in points;
- loss_at_2x_points: the front's least error at twice the original's speed minus the original's error;
- slower_with_fewer_macs: children of the front that are slower than their parent beyond both intervals, with fewer MACs.

A seed's row is kept in results/own_network.json when it is there; ``--seed N`` makes it again. ``--quick``: 4 minutes of search,
one seed, nothing is kept. Needs Torch-Pruning (the extra ``bench``).

    python benchmarks/own_network.py [--seed N] [--quick]
"""

import json
import multiprocessing
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import record
import torch
from against_textbook import sitting
from front_goals import POINTS
from hwnas_command import candidates, front, hwnas
from pruned_resnet import pruned_to, resnet20
from pyarrow import parquet
from safetensors.torch import save_file
from torch import nn

from hwnas.data import DataSettings, load
from hwnas.device import load_profile, open_device
from hwnas.experiment.planning import plans
from hwnas.export import emit, read_manifest
from hwnas.importing import ImportedNetwork, NetworkSource, network_of
from hwnas.network import Network
from hwnas.settings import IMAGENET
from hwnas.store import RunStore
from hwnas.training import evaluate, train

QUESTION = "How accurate is a trained ResNet-20 at 1.5, 2 and 3 times the speed, by hwnas and by Torch-Pruning?"
REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"
WEIGHTS = SHARED / "resnet20_cifar10" / "resnet20.safetensors"
WORK = REPOSITORY / "runs" / "own_network"
SPEEDS, SEEDS, SELECTING = (1.5, 2.0, 3.0), (0, 1, 2), 5_000
BUDGET_S, QUICK_BUDGET_S, QUICK_IMAGES = 3600, 240, 20_000
QUICK_MEASURING_S = 0.3  # for one measurement while a pruning ratio is looked for
ORIGINAL = "original"


def main() -> None:
    parser = record.parser("own_network", QUESTION)
    parser.add_argument("--seed", type=int, metavar="N", help="this seed alone, again")
    arguments = parser.parse_args()
    stamp = record.machine()
    if arguments.quick:
        with tempfile.TemporaryDirectory() as scratch:
            rows = [seed_row(arguments.seed or 0, QUICK_BUDGET_S, Path(scratch), most_images=QUICK_IMAGES)]
        answer(arguments, rows, stamp)
        return
    path = record.RESULTS / "own_network.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    wanted = (
        [arguments.seed] if arguments.seed is not None else [seed for seed in SEEDS if seed not in {row["seed"] for row in rows}]
    )
    for seed in wanted:
        work = WORK / str(seed)
        work.mkdir(parents=True, exist_ok=True)
        rows = [*(row for row in rows if row["seed"] != seed), seed_row(seed, BUDGET_S, work)]
        answer(arguments, rows, stamp)
        shutil.rmtree(work)


def seed_row(seed: int, budget_s: int, work: Path, most_images: int | None = None) -> dict[str, Any]:
    """One seed: the search, the pruned networks trained, all measured."""
    stamp, data, run = record.machine(), split_data(work / "data"), work / "run"
    if not run.exists():
        start = ["--start", "pruned_resnet:ResNet20", "--weights", str(projected(work / "resnet20.safetensors"))]
        options = ["--data", str(data), "--normalisation", "imagenet", "--time-budget", f"{budget_s}s", "--seed", str(seed)]
        command = hwnas("search", *start, *options, "--workers", "2", "--out", str(run))
        subprocess.run(command, check=True, cwd=REPOSITORY / "benchmarks")
    everyone, members = candidates(run), front(run)
    images = sum(int(candidate["images"] or 0) for candidate in everyone)
    each = images // len(SPEEDS) if most_images is None else min(images // len(SPEEDS), most_images)
    files = exported(run, work / "bundle", [member["id"] for member in members])
    files[ORIGINAL] = onnx_of(resnet20(WEIGHTS))
    pruned = pruned_rows(run, data, each, work, original_ms=sitting({ORIGINAL: files[ORIGINAL]})[ORIGINAL]["latency_ms"])
    files |= {row["name"]: (work / f"{row['name']}.onnx").read_bytes() for row in pruned}
    latencies = sitting(files)
    shown = [member for member in members if member["id"] in files]
    row = {
        "seed": seed,
        "seconds": budget_s,
        "machine": stamp,
        "images": images,
        "images_each": each,
        ORIGINAL: {"test_error": original_error(data), **latencies[ORIGINAL]},
        "pruned": [{**row, **latencies[row["name"]]} for row in pruned],
        "front": [{**member, "search_latency_ms": member["latency_ms"], **latencies[member["id"]]} for member in shown],
        "slower_with_fewer_macs": slower_with_fewer_macs(everyone, members),
    }
    record.progress(f"seed {seed}: {judged(row)}")
    return row


def split_data(folder: Path) -> Path:
    """CIFAR-10 with half of its test file as validation file."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "train.parquet").symlink_to(SHARED / "cifar10" / "train.parquet")
        test = parquet.read_table(SHARED / "cifar10" / "test.parquet")
        parquet.write_table(test.slice(0, SELECTING), folder / "validation.parquet")
        parquet.write_table(test.slice(SELECTING), folder / "test.parquet")
    return folder


def projected(path: Path) -> Path:
    """A file of the weights, those of the projections among them: both sides begin with the same module."""
    save_file({name: tensor.contiguous() for name, tensor in resnet20(WEIGHTS).state_dict().items()}, path)
    return path


def pruned_rows(run: Path, data: Path, images: int, work: Path, *, original_ms: float) -> list[dict[str, Any]]:
    """The pruned networks, trained side by side on the two cores."""
    network = resnet20(WEIGHTS)
    with open_device(load_profile("local-cpu")) as device:

        def latency_ms(module: nn.Module) -> float:
            return device.measure(onnx_of(module), half_width=0.02, time_limit_s=QUICK_MEASURING_S).latency_ms

        for speed in SPEEDS:
            made = pruned_to(network, latency_ms, original_ms / speed)
            torch.export.save(
                torch.export.export(made, (torch.zeros(2, 3, 32, 32),), strict=False), work / f"pruned-{speed:g}.pt2"
            )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        waiting = [pool.submit(trained_row, speed, run, data, images, work) for speed in SPEEDS]
        return [each.result() for each in waiting]


def trained_row(speed: float, run: Path, data: Path, images: int, work: Path) -> dict[str, Any]:
    """A pruned network trained as the search's final training trains, and its errors before and after."""
    torch.set_num_threads(1)
    with RunStore.open(run, write=False) as store:
        plan = plans(store)[-1]
    loaded = load(settings_of(data))
    taken = taken_of(work / f"pruned-{speed:g}.pt2")
    teacher = taken_of(resnet20(WEIGHTS))
    network = Network(taken.graph, taken.state)
    before = evaluate(network, loaded, loaded.validation).error
    training = train(
        network,
        loaded,
        settings=plan.trainer,
        augmentation=plan.augmentation,
        images=images,
        generator=torch.Generator().manual_seed(0),
        teacher=Network(teacher.graph, teacher.state),
    )
    name = f"pruned-{speed:g}"
    (work / f"{name}.onnx").write_bytes(emit(taken.graph, network.state(), mean=loaded.mean, std=loaded.std))
    return {
        "name": name,
        "speed": speed,
        "validation_error_before": before,
        "validation_error": evaluate(network, loaded, loaded.validation).error,
        "test_error": evaluate(network, loaded, loaded.test).error,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "images": training.images,
    }


def taken_of(given: Path | nn.Module) -> ImportedNetwork:
    """A module, or the exported program in a file, as hwnas takes it."""
    return network_of(NetworkSource(given=given), channels=3, height=32, width=32)


def settings_of(data: Path) -> DataSettings:
    """The data as the search reads them."""
    return DataSettings(source=str(data), normalisation=IMAGENET)


def original_error(data: Path) -> float:
    """The original's error on the images that nothing is selected by."""
    loaded = load(settings_of(data))
    taken = taken_of(resnet20(WEIGHTS))
    return evaluate(Network(taken.graph, taken.state), loaded, loaded.test).error


def onnx_of(module: nn.Module) -> bytes:
    """A module as hwnas exports it, for images in [0, 1]."""
    taken = taken_of(module)
    mean, std = IMAGENET[:3], IMAGENET[3:]
    return emit(taken.graph, taken.state, mean=tuple(mean), std=tuple(std))


def exported(run: Path, bundle: Path, ids: Sequence[str]) -> dict[str, bytes]:
    """The files of the front's networks by id."""
    shutil.rmtree(bundle, ignore_errors=True)
    command = hwnas("export", str(run), "--out", str(bundle), "--models", ",".join(ids))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {file.id: (bundle / file.name).read_bytes() for file in read_manifest(bundle).files}


def slower_with_fewer_macs(everyone: Sequence[Mapping[str, Any]], members: Sequence[Mapping[str, Any]]) -> list[str]:
    """Children of the front that the search measured slower than their parent, beyond both intervals, at fewer MACs."""
    known = {candidate["id"]: candidate for candidate in everyone}
    found = []
    for member in members:
        parent = known.get(member["parent"] or "")
        if parent is None or member["search_latency_ms"] is None or parent["search_latency_ms"] is None:
            continue
        spread = sum(each["search_latency_ci_ms"] or 0.0 for each in (member, parent))
        if member["macs"] < parent["macs"] and member["search_latency_ms"] - parent["search_latency_ms"] > spread:
            found.append(member["id"])
    return found


def judged(row: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one seed, in points."""
    tested = [member for member in row["front"] if member["test_error"] is not None]

    def least(most_ms: float) -> float:
        return min((member["test_error"] for member in tested if member["latency_ms"] <= most_ms), default=0.9)

    gains = {each["speed"]: POINTS * (each["test_error"] - least(each["latency_ms"])) for each in row["pruned"]}
    original = row[ORIGINAL]
    losses = {speed: POINTS * (least(original["latency_ms"] / speed) - original["test_error"]) for speed in SPEEDS}
    return {
        "error_gain_2x_points": statistics.median(gains.values()),
        "loss_at_2x_points": losses[2.0],
        "slower_with_fewer_macs": float(len(row["slower_with_fewer_macs"])),
        **{f"error_gain_{speed:g}x": gain for speed, gain in gains.items()},
        **{f"loss_at_{speed:g}x": loss for speed, loss in losses.items()},
    }


def answer(arguments: Any, rows: Sequence[Mapping[str, Any]], stamp: Mapping[str, Any]) -> None:
    """Say, and keep, what the rows give; the goals are unmet as long as a seed is missing."""
    by_seed = [judged(row) for row in rows]
    medians = {name: statistics.median(figures[name] for figures in by_seed) for name in by_seed[0]}
    complete = arguments.quick or {row["seed"] for row in rows} >= set(SEEDS)
    known = medians if complete else {}
    goals = [
        record.at_least("error_gain_2x_points", known.get("error_gain_2x_points"), 0.3, "points"),
        record.at_most("loss_at_2x_points", known.get("loss_at_2x_points"), 1.0, "points"),
        record.at_most("slower_with_fewer_macs", known.get("slower_with_fewer_macs"), 0, "networks"),
    ]
    results = {"medians": medians, "by_seed": by_seed, "seeds": [row["seed"] for row in rows]}
    record.finish(arguments, benchmark="own_network", question=QUESTION, results=results, rows=rows, goals=goals, stamp=stamp)


if __name__ == "__main__":
    main()
