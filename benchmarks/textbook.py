"""How good are textbook networks that are trained one after another, each for a fifth of the given time, on one core?

The family: the ResNet-8 of MLPerf Tiny at widths 0.5, 1 and 2, and MobileNetV2 for 32x32 images at widths 0.25 and 0.5
(reference_nets.py), trained as textbook_training.py says. The seconds of each count its training alone: loading the data,
choosing the number format and evaluating come on top, in the networks' favour. For each network a row (images, images a second,
validation and test error, parameters) in F/networks.json, written when the last one is done, and its ONNX file beside it.

Choice of the recipe: ResNet-8 at width 1, CIFAR-10, 115,200 images each (2.6 epochs), one seed, on a busy machine; validation
errors on 5,000 images, whose standard error is 0.7 points, so that only the last is surely worse. The recipe as it is 31.2 %;
label smoothing 0.1: 31.2; peak 0.4: 30.6; batch 64 at peak 0.1: 31.4, at 0.2: 31.0; weight decay 2e-4: 32.0; the moving average
of the weights over some 200 steps: 33.0. So nothing was added. Layout and number format decide the speed: on a core with AMX a
ResNet-8 trained 530 images a second in torch's default layout and float32, 740 in channels-last and 1,540 in bfloat16 besides
(batch 128); a MobileNetV2 is no faster in bfloat16, for its depthwise convolutions with a stride take ten times as long
backwards. So each network takes the format that is faster for it.

    python benchmarks/textbook.py --seconds 1800 --out F [--data PATH] [--group-by COLUMN:REGEX] [--seed N]
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import record
import torch
from reference_nets import resnet8, textbook_mobilenet_v2
from textbook_training import Recipe, bfloat16_is_faster, channels_last, error, train_for
from torch import nn

from hwnas.data import DataSet, DataSettings, load
from hwnas.export import emit
from hwnas.importing import import_module
from hwnas.training import error_of_guessing

NETWORKS = "networks.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A network of the family: ``make(classes=.., channels=..)`` gives a new one."""

    make: Callable[..., nn.Module]
    recipe: Recipe


FAMILY: Mapping[str, Member] = {
    "resnet8 x0.5": Member(make=partial(resnet8, width=0.5), recipe=Recipe()),
    "resnet8": Member(make=resnet8, recipe=Recipe()),
    "resnet8 x2": Member(make=partial(resnet8, width=2.0), recipe=Recipe()),
    "mobilenet_v2 x0.25": Member(make=partial(textbook_mobilenet_v2, width=0.25), recipe=Recipe()),
    "mobilenet_v2 x0.5": Member(make=partial(textbook_mobilenet_v2, width=0.5), recipe=Recipe()),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python benchmarks/textbook.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="../shared/data/cifar10", metavar="PATH")
    parser.add_argument("--group-by", metavar="COLUMN[:REGEX]")
    parser.add_argument("--seconds", type=float, required=True, metavar="T", help="of training, of all together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="F", help="folder for networks.json and ONNX files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data = load(DataSettings(source=arguments.data, group_by=arguments.group_by, seed=arguments.seed))  # a search's own splits
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = [
        trained_row(name, member, data, arguments.seconds / len(FAMILY), arguments.seed, arguments.out)
        for name, member in FAMILY.items()
    ]
    found = {
        "data_fingerprint": data.fingerprint,
        "guessing_error": error_of_guessing(data.test.labels, "error"),
        "networks": rows,
    }
    (arguments.out / NETWORKS).write_text(json.dumps(found, indent=1, allow_nan=False), encoding="utf-8")


def trained_row(name: str, member: Member, data: DataSet, seconds: float, seed: int, folder: Path) -> dict[str, Any]:
    """Train one network for so many seconds, write its ONNX file and say what it is worth."""
    make = partial(member.make, classes=len(data.classes), channels=data.shape[0])
    bfloat16 = bfloat16_is_faster(make, data, member.recipe)
    torch.manual_seed(seed)  # torch's own initialisation takes no generator
    network = channels_last(make())
    before = time.process_time()
    training = train_for(
        network,
        data,
        seconds,
        recipe=member.recipe,
        generator=torch.Generator().manual_seed(seed),
        bfloat16=bfloat16,
    )
    cpu_s = time.process_time() - before
    path = folder / f"{name.replace(' ', '-')}.onnx"
    path.write_bytes(onnx_file(network, data))
    row = {
        "name": name,
        "file": path.name,
        "seed": seed,
        "recipe": asdict(member.recipe),
        **asdict(training),
        "cpu_s": cpu_s,
        "images_per_s": training.images / training.seconds,
        "images_per_cpu_s": training.images / cpu_s,
        "validation_error": error(network, data, data.validation),
        "test_error": error(network, data, data.test),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    record.progress(
        f"{name}: {training.images} images, {row['images_per_s']:.0f}/s, "
        f"validation error {row['validation_error']:.4f}, test error {row['test_error']:.4f}"
    )
    return row


def onnx_file(network: nn.Module, data: DataSet) -> bytes:
    """The network as hwnas writes its own: normalisation and batch norms folded alike, so that latencies compare networks."""
    channels, height, width = data.shape
    graph, state = import_module(network.eval(), channels=channels, height=height, width=width)
    return emit(graph, state, mean=data.mean, std=data.std)


if __name__ == "__main__":
    main()
