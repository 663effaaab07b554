"""How many more bit errors does a network searched for resilience tolerate than MobileNetV2- and ResNet-style ones?

Schorn et al. (arXiv 1909.13844) report models up to seven times more bit-error resilient than MobileNetV2 and NASNet-A, GTSRB
among their data sets. Method, written down before the full run. Looked at before: references and plain networks on all 43 classes
(20,000 images: flips in the image alone cost a ResNet a point at 5e-4) and searches of seed 1 with less training.

Data: the ten most frequent classes of GTSRB (19,620 training and 6,480 test images; all 43 took more CPU time than there was) at
16x16 pixels, the validation split by physical sign, no augmentation, the product's trainer at its defaults.
Search: the objectives error, sensitivity (ASI) and expected_change, seed 0, beginning with the space's initial networks and both
references, 6 generations of 8 children, 10,000 images each, no more MACs than the larger reference. Chosen, on validation data
alone: the front's member with the lowest expected change (the product's best predictor, see resilience_proxy.py) among those
whose validation error is at most one point above the better reference's mean; where there is none, that of the lowest error.
References: resnet (78 k parameters) and mobilenet_v2 (38 k) of reference_nets.py, two seeds each, trained once over as many
images as the longest lineage of the front saw in all (a child inherits what its ancestors learnt). The chosen architecture is
trained from scratch in the same way, two seeds, to tell architecture from search.

Bit errors: each bit flips with a probability, the bit error rate. Memory, primary: the stored feature maps of an image, as ASI
counts them: image and logits, of one size in every network, are left out. Beside it: all stored activations with image and
logits, and weights with biases. Formats, computed on test images: int8 (8-bit fixed point: the real tensors of the QDQ file run
by ONNX Runtime) and log8 (power of two: sign and an exponent code in eighths, hwnas/resilience/formats.py). How the tolerated
rate at one point of loss against the clean run in the same format is read: bit_error_tolerance.py.

Ratio: the searched network's tolerated rate by the geometric mean over seeds of a reference's. Goals are those of feature maps
in int8 against the *better* reference (the one that tolerates more), a stricter reading than the paper's: ``tolerated_ber_ratio``
and the lower end of its 95 % bootstrap interval over fault seeds and images (training seeds are shown side by side). All
others, the worse reference, log8 and the other memories, are in the table.

Last result: 0.66 [0.49, 0.83] times the better reference (resnet), 1.13 [0.92, 1.46] times mobilenet_v2; in log8 0.95 and 2.2
times. One member was within the limit (validation error 2.1 %, the references' 1.3 and 1.7 %). Looked at afterwards: the member
of the lowest expected change among the accurate (g5-3, 3.0 %, expected change 116 instead of 568) has 0.77 and 1.31 in int8.

    python benchmarks/resilience_headline.py [--quick]   (full: about 25 minutes on 2 cores; quick: recomputes all figures from
                                                         the stored rows, trains a network anew and measures it with other faults)
"""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import record
import torch
from bit_error_tolerance import FORMATS, MEMORIES, deployed, interval, resampled, tolerance, tolerated, trials
from reference_nets import mobilenet_v2, resnet

from hwnas import api
from hwnas.config import make_config
from hwnas.data import Augmentation, DataSet, DataSettings, load
from hwnas.execution import unpack
from hwnas.experiment import start
from hwnas.experiment.cheap import topology_values
from hwnas.graph import Graph, cost, from_json, to_json
from hwnas.injection.expected_change import expected_change
from hwnas.morphism.fresh import from_scratch
from hwnas.network import Network, State, transfer
from hwnas.store import RunStore
from hwnas.training import TrainerSettings, evaluate, train

QUESTION = "How many more bit errors does a network searched for resilience tolerate than MobileNetV2- and ResNet-style ones?"
GTSRB = Path(__file__).resolve().parents[2] / "shared" / "data" / "gtsrb"
SIZE, GROUPS, CLASSES = (16, 16), r"path:^\d+/\d+_", 10
SEED, GENERATIONS, IMAGES = 0, 6, 10_000
OBJECTIVES = ("error", "sensitivity", "expected_change")
WITHIN = 0.01  # of validation error above the better reference's
TRAINING_SEEDS = (0, 1)
REFERENCES: Mapping[str, Graph] = {
    "resnet": resnet(shape=(3, *SIZE), classes=CLASSES, widths=(16, 32, 64)),
    "mobilenet_v2": mobilenet_v2(shape=(3, *SIZE), classes=CLASSES, widths=(8, 16, 32), blocks=2, expansion=6),
}
PRIMARY = "int8 maps"
ALLOWED = 1.25  # another CPU rounds a training otherwise


def main() -> None:
    parser = record.parser("resilience_headline", QUESTION)
    parser.add_argument("--work", type=Path, metavar="F", help="keep the run and finished rows here, and go on with them")
    arguments = parser.parse_args()
    stamp = record.machine()
    if arguments.quick:
        kept = json.loads((record.RESULTS / "resilience_headline.json").read_text())
        rows, search = kept["rows"], kept["results"]["search"]
        with tempfile.TemporaryDirectory() as scratch:
            again = check_anew(Path(scratch), rows)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            rows, search = everything(arguments.work or Path(scratch))
        again = []
    results, goals = answers(rows)
    record.record(
        benchmark="resilience_headline", question=QUESTION, results=results | {"search": search, "measured_anew": again},
        rows=rows, goals=goals, command=record.command(), quick=arguments.quick, stamp=stamp, out=arguments.out,
    )  # fmt: skip


def everything(work: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The search, the references, the choice, its architecture from scratch: a row for each network."""
    front = searched(work / "run", subset(work))
    images = max(member["lineage_images"] for member in front)
    record.progress(f"{len(front)} networks on the front, the longest lineage saw {images} images")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(trained_row, work, name, to_json(graph), seed, images)
            for seed in TRAINING_SEEDS
            for name, graph in reversed(list(REFERENCES.items()))
        ]
        rows = [job.result() for job in jobs]
        limit = WITHIN + min(np.mean([row["validation_error"] for row in rows if row["network"] == name]) for name in REFERENCES)
        member = chosen(front, limit)
        record.progress(f"chosen: {member['id']}, validation error {member['error']:.4f}, the limit was {limit:.4f}")
        jobs = [pool.submit(searched_row, work, member)]
        jobs += [pool.submit(trained_row, work, "from scratch", member["graph"], seed, images) for seed in TRAINING_SEEDS]
        rows += [job.result() for job in jobs]
    return rows, {"front": front, "chosen": member["id"], "error_limit": limit, "reference_images": images}


def subset(work: Path) -> Path:
    """The rows of the most frequent classes, as a data set of its own in the folder."""
    folder = work / "gtsrb10"
    folder.mkdir(parents=True, exist_ok=True)
    tables = {split: pq.read_table(GTSRB / f"{split}.parquet") for split in ("train", "test")}
    names = json.loads(tables["train"].schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    kept = [label for label, _ in Counter(tables["train"]["label"].to_pylist()).most_common(CLASSES)]
    for split, table in tables.items():
        table = table.filter(pc.is_in(table["label"], pa.array(kept)))
        labels = pa.array([names[label] for label in table["label"].to_pylist()])
        pq.write_table(pa.table({"image": table["image"], "label": labels}), folder / f"{split}.parquet")
    return folder


def searched(folder: Path, source: Path) -> list[dict[str, Any]]:
    """Search, unless the folder holds the run already; the front's members with what they and their ancestors were trained on."""
    macs = max(cost(graph).macs for graph in REFERENCES.values())
    settings = {
        "seed": SEED, "workers": 2, "objectives": OBJECTIVES, "limits": {"macs": macs},
        "budget": {"generations": GENERATIONS, "images_per_child": IMAGES},
        "data": {"source": str(source), "image_size": SIZE, "group_by": GROUPS},
    }  # fmt: skip
    if not folder.exists():
        start(make_config(settings), folder, initial=tuple(REFERENCES.values()))
    run = api.open_run(folder)
    run.resume()  # nothing, where it is finished
    with RunStore.open(folder, write=False) as store:
        rows = {row.id: row for row in store.rows()}

    def lineage(candidate_id: str) -> float:
        row = rows[candidate_id]
        return row.values["images"] + (lineage(row.parent) if row.parent else 0)

    return [
        {
            "id": entry.id,
            **{name: entry.value(name) for name in (*OBJECTIVES, "parameters", "macs")},
            "lineage_images": int(lineage(entry.id)),
            "graph": to_json(entry.row.candidate.graph),
        }
        for entry in run.front()
    ]


def chosen(front: Sequence[dict[str, Any]], limit: float) -> dict[str, Any]:
    """The lowest expected change within the limit on validation error; the lowest error where none is within."""
    within = [member for member in front if member["error"] <= limit]
    if not within:
        return min(front, key=lambda member: member["error"])
    return min(within, key=lambda member: member["expected_change"])


def trained_row(work: Path, name: str, graph: str, seed: int, images: int) -> dict[str, Any]:
    """Train a network from scratch and measure it; what ``work`` holds already is read."""
    kept = work / f"{name}-{seed}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    data = prepared(work / "gtsrb10")
    network = from_scratch_trained(from_json(graph), data, seed, images)
    row = measured({"network": name, "seed": seed, "images": images}, network.graph, network.state(), data)
    return keep(kept, row)


def searched_row(work: Path, member: Mapping[str, Any]) -> dict[str, Any]:
    """Measure the chosen member with the weights that the search gave it."""
    kept = work / "searched.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    with RunStore.open(work / "run", write=False) as store:
        outcome = store.row(member["id"]).outcome
        assert outcome is not None
        assert outcome.weights is not None
        state = unpack(store.weights(outcome.weights))
    data = prepared(work / "gtsrb10")
    row = measured({"network": "searched", "images": member["lineage_images"]}, from_json(member["graph"]), state, data)
    return keep(kept, row)


def prepared(source: Path) -> DataSet:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    return load(DataSettings(source=str(source), image_size=SIZE, group_by=GROUPS, seed=SEED))


def from_scratch_trained(graph: Graph, data: DataSet, seed: int, images: int) -> Network:
    generator = torch.Generator().manual_seed(seed)
    network = Network(graph, transfer([(graph, from_scratch(graph))], {}, generator))
    train(network, data, settings=TrainerSettings(), augmentation=Augmentation(), images=images, generator=generator)
    return network


def measured(row: Mapping[str, Any], graph: Graph, state: State, data: DataSet) -> dict[str, Any]:
    """A row: what the network is, how often it is wrong, and what bit errors do to it in every scenario."""
    network = Network(graph, state)
    values = topology_values(graph)
    full = dict(row) | {name: values[name] for name in ("parameters", "macs", "sensitivity")}
    full["expected_change"] = expected_change(graph, state, data.train.images, mean=data.mean, std=data.std)
    full |= {f"{name}_error": evaluate(network, data, getattr(data, name)).error for name in ("validation", "test")}
    full |= {"graph": to_json(graph), "scenarios": {}}
    for dtype in FORMATS:
        bench = deployed(graph, state, dtype, data)
        for memory in MEMORIES:
            full["scenarios"][f"{dtype} {memory}"] = tolerance(bench, data, memory, seed=0, trials=trials(dtype, memory))
    rates = ", ".join(f"{key} {tolerated(found):.1e}" for key, found in full["scenarios"].items())
    record.progress(f"{row['network']} {row.get('seed', '')}: test error {full['test_error']:.4f}, tolerates {rates}")
    return full


def keep(path: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(row, default=lambda value: value.tolist())
    path.write_text(text)
    return dict(json.loads(text))


def answers(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[record.Goal]]:
    """Every figure and the goals, from the rows alone."""
    networks = {row["network"]: [other for other in rows if other["network"] == row["network"]] for row in rows}
    errors = {
        name: {split: float(np.mean([row[f"{split}_error"] for row in found])) for split in ("validation", "test")}
        for name, found in networks.items()
    }
    scenarios = {f"{dtype} {memory}": compared(networks, f"{dtype} {memory}") for dtype in FORMATS for memory in MEMORIES}
    for key, found in scenarios.items():
        ratios = ", ".join(f"{name} {r['value']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" for name, r in found["ratios"].items())
        record.progress(f"{key}: searched {found['tolerated']['searched'][0]:.1e}; ratio to {ratios}")
    primary = scenarios[PRIMARY]
    ratio = primary["ratios"][primary["better_reference"]]
    return {"primary": PRIMARY, "errors": errors, "scenarios": scenarios}, [
        record.at_least("tolerated_ber_ratio", ratio["value"], 7, "times"),
        record.at_least("tolerated_ber_ratio_lower", ratio["low"], 4, "times"),
    ]


def compared(networks: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> dict[str, Any]:
    """What each network tolerates by training seed, its clean error in the format, and the searched one by each of the others."""
    found = {name: [row["scenarios"][key] for row in rows] for name, rows in networks.items()}
    logs = {name: np.log([tolerated(each) for each in seeds]) for name, seeds in found.items()}
    samples = {name: np.mean([np.log(resampled(each)) for each in seeds], axis=0) for name, seeds in found.items()}
    ratios = {}
    for name in found:
        if name != "searched":
            low, high = interval(np.exp(samples["searched"] - samples[name]))
            ratios[name] = {"value": float(np.exp(logs["searched"].mean() - logs[name].mean())), "low": low, "high": high}
    return {
        "tolerated": {name: np.exp(values) for name, values in logs.items()},
        "clean_error": {name: 1 - np.mean([each["clean"] for each in seeds]) for name, seeds in found.items()},
        "ratios": ratios,
        "better_reference": max(REFERENCES, key=lambda name: logs[name].mean()),
    }


def check_anew(work: Path, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Train a random network anew and measure it with other faults: its interval must meet the stored one."""
    row = np.random.default_rng().choice([row for row in rows if "seed" in row])  # type: ignore[arg-type]
    data = prepared(subset(work))
    network = from_scratch_trained(from_json(row["graph"]), data, row["seed"], row["images"])
    checked = []
    for key in (PRIMARY, "log8 maps"):
        dtype, memory = key.split()
        bench = deployed(network.graph, network.state(), dtype, data)
        before, after = row["scenarios"][key], tolerance(bench, data, memory, seed=1, trials=trials(dtype, memory))
        (low, high), (now_low, now_high) = interval(resampled(before)), interval(resampled(after))
        checked.append({"network": row["network"], "seed": row["seed"], "scenario": key, "tolerated": tolerated(after)})
        if now_low > high * ALLOWED or now_high < low / ALLOWED:
            raise SystemExit(f"{row['network']} {row['seed']}, {key}: {now_low:.1e}-{now_high:.1e}, stored {low:.1e}-{high:.1e}")
    return checked


if __name__ == "__main__":
    main()
