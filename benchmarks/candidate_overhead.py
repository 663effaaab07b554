"""How long does it take from a parent to a child that is ready to be measured?

Method: from each initial network of digits (1x8x8) and of CIFAR-10 (3x32x32) children are made by one random operator, and the
whole way is timed: morph, check, hash, costs, sensitivity, transfer, ONNX bytes, ONNX Runtime session. Beside each child, in
the same run, ``torch.onnx.export`` (the TorchScript exporter, the faster of the two) exports the same network.

Command: ``python benchmarks/candidate_overhead.py``; the last result is in ``results/candidate_overhead.json``.
"""

import io
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import record
import torch

from hwnas.device import load_profile, session
from hwnas.experiment.cheap import topology_values
from hwnas.export import emit
from hwnas.graph import Graph, architecture_id
from hwnas.morphism.catalogue import morph
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import Network, State, transfer
from hwnas.spaces import initial_graphs

QUESTION = "How long does it take from a parent to a child that is ready to be measured, beside torch.onnx.export?"
DATA = {"digits": ((1, 8, 8), 10), "cifar10": ((3, 32, 32), 10)}
STAGES = ("morph", "hash", "costs", "transfer", "emit", "session")


def main() -> None:
    arguments = record.parser("candidate_overhead", QUESTION).parse_args()
    torch.set_num_threads(1)
    profile = load_profile("local-cpu")
    rng = np.random.default_rng(0)
    rows: list[dict[str, float | str]] = []
    for name, (shape, classes) in DATA.items():
        for recipe, graph in initial_graphs(shape, classes):
            state = transfer([(graph, from_scratch(graph))], {}, torch.Generator().manual_seed(0))
            one_child(graph, state, rng, profile)  # the first of each loads what is loaded once
            for _ in range(3 if arguments.quick else 10):
                child, child_state, stages = one_child(graph, state, rng, profile)
                exported = timed(lambda c=child, s=child_state, x=shape: export_by_torch(c, s, x))  # type: ignore[misc]
                rows.append({"data": name, "parent": recipe, "nodes": len(child), "torch_export_ms": exported, **stages})
            record.progress(f"{name} {recipe}: child {rows[-1]['child_ms']:.2f} ms, torch.onnx.export {exported:.1f} ms")
    medians = {stage: statistics.median(float(row[f"{stage}_ms"]) for row in rows) for stage in (*STAGES, "child")}
    ratio = statistics.median(float(row["torch_export_ms"]) / float(row["emit_ms"]) for row in rows)
    goals = [record.at_most("child_ms", medians["child"], 15, "ms"), record.at_least("export_ratio", ratio, 10, "times")]
    record.finish(
        arguments,
        benchmark="candidate_overhead",
        question=QUESTION,
        results={"median_ms": medians, "median_torch_export_ms": statistics.median(float(r["torch_export_ms"]) for r in rows)},
        rows=rows,
        goals=goals,
    )


def one_child(graph: Graph, state: State, rng: np.random.Generator, profile: object) -> tuple[Graph, State, dict[str, float]]:
    """One child of a network: the graph, its weights, and the time that each stage took."""
    marks = [time.perf_counter()]

    def mark() -> None:
        marks.append(time.perf_counter())

    step = morph(graph, rng)
    assert step is not None
    child = step[1].graph
    mark()
    architecture_id(child)
    mark()
    topology_values(child)
    mark()
    child_state = transfer([(child, step[1].inheritance)], state, torch.Generator().manual_seed(1))
    mark()
    model = emit(child, child_state, mean=(0.5,) * child.shapes[child.input.id][0], std=(0.25,) * child.shapes[child.input.id][0])
    mark()
    session(model, profile)  # type: ignore[arg-type]
    mark()
    taken = {f"{stage}_ms": (after - before) * 1e3 for stage, before, after in zip(STAGES, marks, marks[1:], strict=False)}
    return child, child_state, taken | {"child_ms": (marks[-1] - marks[0]) * 1e3}


def export_by_torch(graph: Graph, state: State, shape: tuple[int, ...]) -> None:
    """The same network by torch's own exporter."""
    network = Network(graph, state).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates this exporter for a slower one
        torch.onnx.export(network, (torch.zeros(1, *shape),), io.BytesIO(), dynamo=False, opset_version=17)  # type: ignore[arg-type]


def timed(work: Callable[[], None]) -> float:
    """How long the work takes, in ms."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    main()
