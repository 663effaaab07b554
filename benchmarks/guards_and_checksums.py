"""What do guards and checksums of exported files cost in latency, and what do they buy?

Method: three networks of reference_nets.py, trained by the product's loop: a small ResNet on digits (8x8), the ResNet and the
MobileNetV2 on CIFAR-10 (32x32). Each is exported as it is, guarded, guarded in its TOP feature maps of largest expected change
alone (as ``hwnas export --guard-top``), and with checksums. Float32.

Latency: all files of a network in one sitting, measured in turn, by the product's protocol, here; three rounds, their median.
Guards: the product's own campaign of bit error rates in the feature maps, image and logits included (``hwnas faults --target
activations --fault ber``), on test images: the area under the accuracy-BER curve in per cent, with its 95 % interval.
Checksums: bits of the weights and biases of convolutions and linear layers are flipped one at a time, half of them bit 30, before
64 test images; the share of flips that are detected among those that change an answer, each bit counted as likely as any other;
false alarms on all test images, which neither training nor tolerances saw.

Goals (ours, declared before the first run; the paper's overhead as a goal for latency [Beyer2021]): over the three networks the
least ``harmful_detected`` at least 0.99, ``false_alarms`` 0, the largest ``checksum_latency`` on CIFAR-10 at most 1.17 times.

A network's row is kept in runs/guards_and_checksums/ the moment it is there, and a run that was stopped goes on.

    python benchmarks/guards_and_checksums.py [--quick]    (full: half an hour of one core; quick: digits alone, a minute)
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from against_textbook import sitting
from reference_nets import he_state, mobilenet_v2, resnet

from hwnas.campaign import Campaign, Examples, FaultSettings, curve_result, onnx_subject
from hwnas.data import Augmentation, DataSet, DataSettings, load
from hwnas.deployed import Program
from hwnas.deployed.protection import map_shares
from hwnas.device import load_profile
from hwnas.export import classification_error, emit, runtime
from hwnas.export.checksum_figures import detection, mismatches
from hwnas.export.checksums import alarms, with_checksums
from hwnas.export.guard import guarded
from hwnas.graph import Conv, Graph, Linear, cost
from hwnas.models.deploying import calibration_images, pixels
from hwnas.network import Network
from hwnas.resilience import FLOAT32
from hwnas.training import TrainerSettings, train

QUESTION = "What do guards and checksums of exported files cost in latency, and what do they buy?"
CIFAR10 = str(Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10")
WORK = Path(__file__).resolve().parents[1] / "runs" / "guards_and_checksums"  # rows of a run at work
TOP, FLIPS, PICTURES, IMAGES = (1, 2, 4), 1000, 64, 1000
BERS, HALF_WIDTH = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3), 2.0
NETWORKS: Mapping[str, tuple[str, Graph, int]] = {  # data, graph, training images
    "digits resnet": ("digits", resnet(shape=(1, 8, 8), widths=(8, 16)), 30_000),
    "cifar10 resnet": (CIFAR10, resnet(), 40_000),
    "cifar10 mobilenet_v2": (CIFAR10, mobilenet_v2(), 40_000),
}


def main() -> None:
    arguments = record.parser("guards_and_checksums", QUESTION).parse_args()
    torch.set_num_threads(1)
    stamp, names = record.machine(), list(NETWORKS)[: 1 if arguments.quick else None]
    rows = [row(names[0], *NETWORKS[names[0]])] if arguments.quick else [kept(name) for name in names]
    slowdowns = [each["files"]["checksums"]["slowdown"] for each in rows if each["network"] != "digits resnet"]
    shares = [each["checksums"]["share"] for each in rows if each["checksums"]["share"] is not None]
    goals = [
        record.at_least("harmful_detected", min(shares), 0.99, "share"),
        record.at_most("false_alarms", sum(each["checksums"]["false_alarms"] for each in rows), 0, "images"),
        record.at_most("checksum_latency", max(slowdowns, default=None), 1.17, "times"),
    ]
    shown = {each["network"]: {key: each[key] for key in ("error", "macs", "extra_macs", "files", "checksums")} for each in rows}
    record.finish(
        arguments, benchmark="guards_and_checksums", question=QUESTION, results=shown, goals=goals, rows=rows, stamp=stamp
    )


def kept(name: str) -> dict[str, Any]:
    """A network's row; that which a stopped run left is taken as it is."""
    path = WORK / f"{name.replace(' ', '_')}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        record.write(path, record.as_json(row(name, *NETWORKS[name])))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def row(name: str, source: str, graph: Graph, images: int) -> dict[str, Any]:
    """One network: trained, exported in all ways, measured."""
    data = load(DataSettings(source=source))
    generator = torch.Generator().manual_seed(0)
    network = Network(graph, he_state(graph, generator))
    train(network, data, settings=TrainerSettings(), augmentation=Augmentation(), images=images, generator=generator)
    files = exported(graph, network, data)
    record.progress(f"{name}: trained, {len(files)} files")
    test, labels = pixels(data.test), data.test.labels.numpy()
    error = classification_error(runtime(load_profile("local-cpu"))(files["plain"], test), labels)
    found: dict[str, Any] = {
        "network": name, "error": error, "macs": cost(graph).macs, "extra_macs": extra_macs(graph),
        "checksums": checksum_figures(files["checksums"], test),
        "files": {key: dict(value) for key, value in sitting(files).items()},
    }  # fmt: skip
    plain = found["files"]["plain"]["latency_ms"]
    order = np.random.default_rng(0).permutation(len(test))[:IMAGES]
    examples = Examples(images=test[order], labels=labels[order])
    for key, model in files.items():
        found["files"][key]["slowdown"] = found["files"][key]["latency_ms"] / plain
        if key != "checksums":
            found["files"][key] |= tolerance(model, examples)
        record.progress(f"{name}, {key}: {found['files'][key]}")
    return found


def exported(graph: Graph, network: Network, data: DataSet) -> dict[str, bytes]:
    """The files by what they are."""
    state, calibration = network.state(), calibration_images(data)
    plain = emit(graph, state, mean=data.mean, std=data.std)
    program = Program.of(graph, state, mean=data.mean, std=data.std)
    shares = map_shares(program, torch.from_numpy(calibration), FLOAT32)
    tops = {f"guard of {count}": guarded(plain, calibration, only=[share.tensor for share in shares[:count]]) for count in TOP}
    return {
        "plain": plain, "guard": guarded(plain, calibration), **tops, "checksums": with_checksums(plain, calibration),
    }  # fmt: skip


def extra_macs(graph: Graph) -> float:
    """The multiply-adds of one filter more for each convolution and linear layer, over those of the network."""
    extra = 0.0
    for node in graph:
        macs = node.op.macs(graph.input_shapes(node), graph.shapes[node.id])
        if isinstance(node.op, Conv):
            extra += macs * node.op.groups / node.op.out_channels
        elif isinstance(node.op, Linear):
            extra += macs / node.op.out_features
    return extra / cost(graph).macs


def checksum_figures(model: bytes, test: np.ndarray) -> dict[str, Any]:
    """What the checksums of a file find."""
    found = detection(model, test[:PICTURES], flips=FLIPS)
    mismatch = mismatches(model, test)
    return {
        "flips": found.flips, "harmful": found.harmful, "detected": found.detected, "share": found.share,
        "answers": found.answers, "false_alarms": int(alarms(mismatch).sum()), "images": len(test),
        "largest_mismatch": float(mismatch.max()),
    }  # fmt: skip


def tolerance(model: bytes, examples: Examples) -> dict[str, Any]:
    """The area under the accuracy-BER curve of a file's feature maps, in per cent, and the rate at which half is lost."""
    settings = FaultSettings(target="activations", fault="ber", bers=BERS, half_width=HALF_WIDTH, images=100)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        campaign = Campaign("model", onnx_subject(path, "float32").bench(), examples, settings)
        curve = curve_result(campaign.curve(None, lambda stage: None), settings)
    area = curve.summary.area.scaled(100.0)
    accuracies = [each.value for each in curve.summary.accuracies]
    return {"area": area.value, "area_low": area.low, "area_high": area.high, "trials": curve.trials, "accuracies": accuracies}


if __name__ == "__main__":
    main()
