"""How many more bit errors does a network searched for resilience tolerate than MobileNetV2- and ResNet-style ones?

Schorn et al. (arXiv 1909.13844) report models up to seven times more bit-error resilient than MobileNetV2 and NASNet-A, GTSRB
among their data sets. Method, written down before the full run.

Looked at before. Four protocols were run to their end, each declared before, three of them on test images: 0.66 [0.49, 0.83]
times the better reference in int8 feature maps (seed 0, ASI among the objectives), 2.26 [1.90, 2.99] (seed 3) and 3.30 [2.79,
4.16] (seed 5); one ended on validation images (seed 2). Between them, always on validation images: of what a ResNet loses the
top bit alone causes two thirds, because min-max ranges are wide; so bounded activations, the int8 guard and --max-error came
into the product. The ResNet bounded at 2 and nothing else tolerated seven times as much, yet the searches took children bounded
at 4: those bounded at 2 had a larger expected change.

Why, was looked into on validation images of split 6. On 21 networks (ResNet, MobileNetV2 and plain ones, bounded at 1 to 4 or
not) the expected change was a mean that a few images on the brink made, and ranked what they tolerate at rho -0.76; read where
one answer in twenty changes, -0.91. In bounded networks the image's own flips were 0.6 of it. And a network learns better with
a bound than it learns to live with one. So the objective is now defined so, of feature maps alone, and a search that bounds
activations has bounded initial networks. Two searches with the definition in parts (seeds 6 and 8, the second broken off) gave
a finalist of 6.8 times the ResNet's rate; one with all of it (seed 8, eight finalists of one training) 4.7 to 9.0 times, on
validation images of split 6 all. Therefore, with another seed and another split:

Data: the ten most frequent classes of GTSRB (19,620 training and 6,480 test images; all 43 took more CPU time than there was)
at 16x16 pixels, the validation split by physical sign, no augmentation, the product's trainer at its defaults.
Search: the objectives error and expected_change, no error above 10 %, seed 9 (split: seed 7), beginning with the space's
initial networks and both references, each also bounded at 2, 10 generations of 8 children, 30,000 images each, no more MACs
than the larger reference.
References: resnet (78 k parameters) and mobilenet_v2 (36 k) of reference_nets.py, seeds 0 and 1, 60,000 images from scratch.
Finalists: of all networks that the search trained and whose error there is at most three points above the better reference's
mean validation error, the ten of lowest expected change (of lowest error, where none is). Their architectures are trained from
scratch exactly as the references are, with both seeds. Chosen, on validation images alone: of those whose mean error is at most
half a point above the better reference's, the one that tolerates most (int8 feature maps, seven trials, geometric mean of the
seeds); where there is none, that of the lowest error. The weights of the search itself are used for nothing.

Bit errors: each bit flips with a probability, the bit error rate. Memory, primary: the stored feature maps of an image, as ASI
counts them: image and logits, of one size in every network, are left out. Beside it: all stored activations with image and
logits, and weights with biases. Formats, computed on test images: int8 (8-bit fixed point: the real tensors of the QDQ file run
by ONNX Runtime), guarded-int8 (the same after hwnas export's guard, references too: what a user could do for any network
without a search) and log8 (power of two: sign and an exponent code in eighths, hwnas/resilience/formats.py). How the tolerated
rate at one point of loss against the clean run in the same format is read: bit_error_tolerance.py.

Ratio: the geometric mean over seeds of the searched network's tolerated rate by that of a reference. Goals are those of feature
maps in int8 against the *better* reference (the one that tolerates more), a stricter reading than the paper's:
``tolerated_ber_ratio`` and the lower end of its 95 % bootstrap interval over fault seeds and images (training seeds are shown
side by side). All others, the worse reference, the other formats and memories, are in the table.

Last result: 8.36 [6.53, 10.84] times the better reference (resnet; by training seed 10.9 and 6.4), 19.9 [14.2, 26.4] times
mobilenet_v2, at a test error of 2.6 % instead of 2.3 and 2.4 %; with 57 k parameters instead of 78 and 36 k. Guarded alike 2.5
[2.1, 3.2] and 7.1 times; all stored activations 2.8 [2.0, 4.0] and 4.7 times (guarded 1.3 and 2.1), where the image, which no
network can shield, is hit too; int8 weights 3.2 [1.8, 5.3] and 9.5 times; log8 2.5 [2.0, 3.1] and 3.4 times, its weights 1.0
[0.6, 1.6] and 22. The network descends from the ResNet bounded at 2, one of those that the search began with, with a branch's
kernel enlarged, one skip more and a narrower end. The ResNet so bounded was not measured here; in earlier looks, on validation
images of other splits, it tolerated seven to ten times as many as the one without.

    python benchmarks/resilience_headline.py [--quick]   (full: about 40 minutes on 2 cores; quick: recomputes all figures from
                                                         the stored rows, trains one again and measures it with other faults)
"""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
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
from safetensors.torch import load_file, save_file

from hwnas import api
from hwnas.config import make_config
from hwnas.data import Augmentation, DataSet, DataSettings, load
from hwnas.deployed.expected_change import expected_change
from hwnas.experiment import start
from hwnas.experiment.cheap import topology_values
from hwnas.graph import Graph, architecture_id, cost, from_json, to_json
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import Network, State, transfer
from hwnas.training import TrainerSettings, evaluate, train

QUESTION = "How many more bit errors does a network searched for resilience tolerate than MobileNetV2- and ResNet-style ones?"
GTSRB = Path(__file__).resolve().parents[2] / "shared" / "data" / "gtsrb"
SIZE, GROUPS, CLASSES = (16, 16), r"path:^\d+/\d+_", 10
SEED, SPLIT_SEED, GENERATIONS, IMAGES, MAX_ERROR = 9, 7, 10, 30_000, 0.1
OBJECTIVES = ("error", "expected_change")
REACH, FINALISTS, FINALIST_TRIALS = 0.03, 10, 7  # validation error in the search above the better reference's; how many; blocks
WITHIN = 0.005  # of validation error above the better reference's, trained alike
TRAINING_SEEDS, TRAINING_IMAGES = (0, 1), 60_000
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
    """The search, the references, the finalists and the choice among them: a row for each network."""
    subset(work)
    tried = searched(work / "run", work / "gtsrb10")
    front = [member for member in tried if member["front"]]
    record.progress(f"{len(tried)} networks tried, {len(front)} on the front")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        references = [(name, to_json(graph), seed) for seed in TRAINING_SEEDS for name, graph in REFERENCES.items()]
        errors = list(pool.map(partial(validation_error, work), *zip(*references, strict=True)))
        means = [np.mean([e for (name, _, _), e in zip(references, errors, strict=True) if name == n]) for n in REFERENCES]
        best = float(min(means))
        near = finalists(tried, best + REACH)
        trainings = [(member, seed) for member in near for seed in TRAINING_SEEDS]
        found = averaged(near, list(pool.map(partial(validated, work), *zip(*trainings, strict=True))))
        member = chosen(found, best + WITHIN)
        record.progress(f"chosen: {member['id']}, validation error {member['trained_error']:.4f}, the limit {best + WITHIN:.4f}")
        winners = [("searched", member["graph"], seed) for seed in TRAINING_SEEDS]
        rows = list(pool.map(partial(trained_row, work), *zip(*references, *winners, strict=True)))
    return rows, {"tried": len(tried), "front": front, "finalists": found, "chosen": member["id"], "error_limit": best + WITHIN}


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
    """Search, unless the folder holds the run already; every network that was trained, the front first."""
    macs = max(cost(graph).macs for graph in REFERENCES.values())
    settings = {
        "seed": SEED, "workers": 2, "objectives": OBJECTIVES, "max_error": MAX_ERROR, "limits": {"macs": macs},
        "budget": {"generations": GENERATIONS, "images_per_child": IMAGES}, "lemonade": {"bound_activations": True},
        "data": {"source": str(source), "image_size": SIZE, "group_by": GROUPS, "seed": SPLIT_SEED},
    }  # fmt: skip
    if not folder.exists():
        start(make_config(settings), folder, initial=tuple(REFERENCES.values()))
    run = api.open_run(folder)
    run.resume(generations=GENERATIONS)  # nothing, where it is finished
    names = (*OBJECTIVES, "sensitivity", "parameters", "macs")
    return [
        {
            "id": entry.id,
            "front": entry.on_front,
            **{name: entry.value(name) for name in names},
            "operator": entry.row.candidate.operator,
            "graph": to_json(entry.row.candidate.graph),
        }
        for entry in run.rows()
        if entry.status == "finished"
    ]


def finalists(tried: Sequence[dict[str, Any]], limit: float) -> list[dict[str, Any]]:
    """Those of the lowest expected change within the limit on validation error; of the lowest error where none is within."""
    within = [member for member in tried if member["error"] <= limit]
    return sorted(within or tried, key=lambda member: member["expected_change" if within else "error"])[:FINALISTS]


def validated(work: Path, member: Mapping[str, Any], seed: int) -> tuple[float, float]:
    """A finalist trained as the references are: its error and the rate that it tolerates, on validation images."""
    data = prepared(work / "gtsrb10")
    network = trained(work, member["graph"], seed, data)
    bench = deployed(network.graph, network.state(), "int8", data)
    rate = tolerated(tolerance(bench, data.validation, "maps", seed=0, trials=FINALIST_TRIALS))
    error = evaluate(network, data, data.validation).error
    record.progress(f"{member['id']} {seed}: validation error {error:.4f}, tolerates {rate:.1e} on validation images")
    return error, rate


def averaged(near: Sequence[dict[str, Any]], found: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """The finalists with what ``found`` says of each training, member by member: mean error, geometric mean of the rates."""
    values = np.array(found).reshape(len(near), len(TRAINING_SEEDS), 2)
    errors, rates = values[..., 0].mean(1), np.exp(np.log(values[..., 1]).mean(1))
    return [
        member | {"trained_error": float(error), "trained_tolerates": float(rate), "trainings": each.tolist()}
        for member, error, rate, each in zip(near, errors, rates, values, strict=True)
    ]


def chosen(found: Sequence[dict[str, Any]], limit: float) -> dict[str, Any]:
    """The finalist that tolerates most within the limit on validation error; the lowest error where none is within."""
    within = [member for member in found if member["trained_error"] <= limit]
    if not within:
        return min(found, key=lambda member: member["trained_error"])
    return max(within, key=lambda member: member["trained_tolerates"])


def validation_error(work: Path, name: str, graph: str, seed: int) -> float:
    data = prepared(work / "gtsrb10")
    error = evaluate(trained(work, graph, seed, data), data, data.validation).error
    record.progress(f"{name} {seed}: validation error {error:.4f}")
    return error


def trained_row(work: Path, name: str, graph: str, seed: int) -> dict[str, Any]:
    """Train a network from scratch and measure it; what ``work`` holds already is read."""
    kept = work / f"{name}-{seed}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    data = prepared(work / "gtsrb10")
    network = trained(work, graph, seed, data)
    row = measured({"network": name, "seed": seed, "images": TRAINING_IMAGES}, network.graph, network.state(), data)
    return keep(kept, row)


def trained(work: Path, graph: str, seed: int, data: DataSet) -> Network:
    """A network from scratch; what ``work`` holds already is read."""
    architecture = from_json(graph)
    kept = work / f"{architecture_id(architecture)}-{seed}.safetensors"
    if kept.exists():
        return Network(architecture, load_file(kept))
    network = from_scratch_trained(architecture, data, seed, TRAINING_IMAGES)
    save_file({name: value.contiguous() for name, value in network.state().items()}, kept)
    return network


def prepared(source: Path) -> DataSet:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    return load(DataSettings(source=str(source), image_size=SIZE, group_by=GROUPS, seed=SPLIT_SEED))


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
            full["scenarios"][f"{dtype} {memory}"] = tolerance(bench, data.test, memory, seed=0, trials=trials(dtype, memory))
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
    """Train a random network again and measure it with other faults: its interval must meet the stored one."""
    row = np.random.default_rng().choice(list(rows))  # type: ignore[arg-type]
    data = prepared(subset(work))
    network = from_scratch_trained(from_json(row["graph"]), data, row["seed"], row["images"])
    checked = []
    for key in (PRIMARY, "log8 maps"):
        dtype, memory = key.split()
        bench = deployed(network.graph, network.state(), dtype, data)
        before, after = row["scenarios"][key], tolerance(bench, data.test, memory, seed=1, trials=trials(dtype, memory))
        (low, high), (now_low, now_high) = interval(resampled(before)), interval(resampled(after))
        checked.append({"network": row["network"], "seed": row["seed"], "scenario": key, "tolerated": tolerated(after)})
        if now_low > high * ALLOWED or now_high < low / ALLOWED:
            raise SystemExit(f"{row['network']} {row['seed']}, {key}: {now_low:.1e}-{now_high:.1e}, stored {low:.1e}-{high:.1e}")
    return checked


if __name__ == "__main__":
    main()
