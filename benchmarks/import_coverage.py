"""How many of the image classifiers that people use on devices does hwnas take, with their weights, and how much can it prune?

Method: for each of the 62 names of ../shared/data/timm_names.txt, timm makes the model with random weights and random statistics
of its batch norms (equal ones would be one constant in an exported file, as in no trained network); hwnas takes it for images of
the model's own size, once from the module (torch.export) and once from the ONNX file that torch's exporter (TorchScript, opset
17) writes of it. Taken means: the logits agree within 1e-4 of max(1, largest logit), or within four roundings where float32 and
float64 differ by more than that (``hwnas.importing.taken.Parity``); else the reason is kept. Of those
taken, the share of the parameters that removing channels can remove (``hwnas.morphism.channel_groups``, our definition).
``import_s`` are seconds for the import of the module, ``proposal_ms`` those of one proposal (a pruned child) of it.

- timm_imported, onnx_imported: how many of the 62;
- prunable_share: the median over those of the modules taken that have convolutions;
- mobilenetv3_import_s, mobilenetv3_proposal_ms: of mobilenetv3_large_100.

A name's row is kept in results/import_coverage.json when it is there; a full run makes those that are missing, ``--all`` every
one again. ``--quick``: five names, and nothing is kept. Needs timm.

    python benchmarks/import_coverage.py [--all] [--quick]
"""

import importlib
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from torch import nn

from hwnas.errors import HwnasError
from hwnas.graph import Conv, Graph, cost
from hwnas.importing import NetworkSource, network_of
from hwnas.morphism import OPERATORS
from hwnas.morphism.channel_groups import prunable_share

QUESTION = "How many of the image classifiers that people use on devices does hwnas take, and how much of them can it prune?"
REPOSITORY = Path(__file__).resolve().parents[1]
NAMES = REPOSITORY.parent / "shared" / "data" / "timm_names.txt"
QUICK = ("resnet18", "mobilenetv3_small_100", "mobilenetv3_large_100", "mobilenetv2_100", "efficientnet_lite0")
SPEED = "mobilenetv3_large_100"
OPSET = 17


def main() -> None:
    parser = record.parser("import_coverage", QUESTION)
    parser.add_argument("--all", action="store_true", help="make every row again")
    arguments = parser.parse_args()
    kept = {} if arguments.quick or arguments.all else kept_rows()
    names = QUICK if arguments.quick else wanted_names()
    timm, rows = imported_timm(), []
    for number, name in enumerate(names, 1):
        row = kept.get(name) or row_of(timm, name)
        rows.append(row)
        record.progress(f"{number} of {len(names)}: {name}: {in_words(row)}")
    results = figures(rows)
    goals = [
        record.at_least("timm_imported", results["timm_imported"], 54, "networks"),
        record.at_least("onnx_imported", results["onnx_imported"], 45, "networks"),
        record.at_least("prunable_share", results["prunable_share"], 0.8, "share of parameters"),
        record.at_most("mobilenetv3_import_s", results["mobilenetv3_import_s"], 5.0, "s"),
        record.at_most("mobilenetv3_proposal_ms", results["mobilenetv3_proposal_ms"], 50.0, "ms"),
    ]
    record.finish(arguments, benchmark="import_coverage", question=QUESTION, results=results, rows=rows, goals=goals)


def wanted_names() -> list[str]:
    """The names of the list, in its order."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return [line.partition(":")[0] for line in lines if line and not line.startswith("#")]


def kept_rows() -> dict[str, dict[str, Any]]:
    """What earlier runs found, by name."""
    path = record.RESULTS / "import_coverage.json"
    return {row["name"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]} if path.exists() else {}


def imported_timm() -> Any:
    """timm, with stand-ins for the names that it wants of torchvision where that cannot be imported."""
    sys.path.insert(0, str(REPOSITORY))
    return importlib.import_module("tests.importing.torchvision_names").import_timm()


def row_of(timm: Any, name: str) -> dict[str, Any]:
    """What became of one model."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False)
    channels, height, width = model.pretrained_cfg["input_size"]
    module = with_statistics(model).eval()
    size = {"channels": channels, "height": height, "width": width}
    row: dict[str, Any] = {"name": name, "size": [channels, height, width]}
    started = time.perf_counter()
    row["module"] = taken(NetworkSource(given=module), size)
    row["import_s"] = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        problem = exported(module, path, size)
        row["onnx"] = {"taken": False, "why": problem} if problem else taken(NetworkSource(given=path), size)
    return row


def with_statistics(module: nn.Module) -> nn.Module:
    """A model whose batch norms, biases and layer scales differ from one another, as after a training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
                assert part.running_var is not None
                part.running_mean.normal_(0, 0.05, generator=generator)
                part.running_var.uniform_(0.9, 1.1, generator=generator)
        for tensor in module.parameters():
            if tensor.numel() == max(tensor.shape, default=1):  # one number for each channel, or one alone
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.01)
    return module


def taken(source: NetworkSource, size: Mapping[str, int]) -> dict[str, Any]:
    """Whether a network is taken: what it costs and how much of it can be pruned, or why it is refused."""
    try:
        found = network_of(source, **size)
    except HwnasError as error:
        return {"taken": False, "why": str(error)}
    costs = cost(found.graph)
    return {
        "taken": True,
        "difference": found.taken.parity.relative,
        "parameters": costs.parameters,
        "macs": costs.macs,
        "convolutions": sum(isinstance(node.op, Conv) for node in found.graph.nodes),
        "prunable_share": prunable_share(found.graph),
        "proposal_ms": proposal_ms(found.graph),
    }


def proposal_ms(graph: Graph) -> float | None:
    """The median time of making a pruned child, in ms, over nine of them; None where nothing can be pruned."""
    prune, rng, times = OPERATORS["prune"], np.random.default_rng(0), []
    for _ in range(9):
        started = time.perf_counter()
        sites = prune.sites(graph)
        if not sites:
            return None
        prune.apply(graph, sites[int(rng.integers(len(sites)))], rng)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def exported(module: nn.Module, path: Path, size: Mapping[str, int]) -> str | None:
    """Write a model with torch's own exporter; why it cannot, None where it can."""
    images = torch.zeros(1, size["channels"], size["height"], size["width"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module, (images,), path, dynamo=False, opset_version=OPSET, input_names=["images"])
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        return f"torch cannot export it: {type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of all rows, and what was refused and why."""
    modules = [row["module"] for row in rows if row["module"]["taken"]]
    shares = [each["prunable_share"] for each in modules if each["convolutions"]]
    speed = next((row for row in rows if row["name"] == SPEED and row["module"]["taken"]), None)
    return {
        "names": len(rows),
        "timm_imported": len(modules),
        "onnx_imported": sum(row["onnx"]["taken"] for row in rows),
        "prunable_share": statistics.median(shares) if shares else None,
        "mobilenetv3_import_s": None if speed is None else speed["import_s"],
        "mobilenetv3_proposal_ms": None if speed is None else speed["module"]["proposal_ms"],
        "refused_modules": {row["name"]: row["module"]["why"] for row in rows if not row["module"]["taken"]},
        "refused_files": {row["name"]: row["onnx"]["why"] for row in rows if not row["onnx"]["taken"]},
    }


def in_words(row: Mapping[str, Any]) -> str:
    """A row in one line."""
    parts = [f"{what} {'taken' if row[what]['taken'] else 'refused: ' + row[what]['why'][:90]}" for what in ("module", "onnx")]
    return f"{'; '.join(parts)}; {row['import_s']:.1f} s"


if __name__ == "__main__":
    main()
