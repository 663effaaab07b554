"""How much faster are faults injected than by a full pass for each, and how much sooner is the mean drop known?

Method: the residual CNN of reference_nets.py (78 k parameters, 32x32), trained briefly on CIFAR-10, one thread. Rates: faults
a second over bare forward passes a second, on the same 50 images; blocks of faults alternate with blocks of bare passes, so
that the machine's drift cancels, both in CPU time, which other processes disturb less. Faults come in batches of 60, layer by
layer, as a campaign tries them. The bare pass is the faster one of the trained network and the folded one (float32), and ONNX
Runtime on the whole file (int8). Faults are drawn uniformly over bits; the bare pass of an activation fault is that of its one
image. Time: our campaign (25 images a fault, the default) to a half-width of 0.5 points, against a plain random loop that
passes 1,000 images for every fault; its faults are counted from the variance of one uniformly drawn flip,
n = (1.96 s / 0.5)^2, and timed on a few, before and after each of five campaigns; the gain is the median. s is told by a longer
campaign of 50 images a fault, for short ones scatter. A loop that passes only the 25 images that we do is reported beside it.

    python benchmarks/fault_injection_speed.py [--quick]       (quick: 4 minutes; full: 8 minutes)
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import record
import torch
from reference_nets import he_state, residual_cnn

from hwnas.campaign import Campaign, Examples, FaultSettings
from hwnas.data import Augmentation, DataSet, DataSettings, load
from hwnas.deployed import Program
from hwnas.export import convert, emit
from hwnas.injection import FastSimulator, TorchTarget, Upset
from hwnas.injection.qdq import QdqSimulator, QdqTarget
from hwnas.network import Network, State
from hwnas.resilience import Single
from hwnas.training import TrainerSettings, train

QUESTION = "How much faster are faults injected than by a full pass for each, and how much sooner is the mean drop known?"
CIFAR10 = "/work/shared/data/cifar10"
IMAGES, PLAIN_IMAGES, HALF_WIDTH = 50, 1000, 0.5
BATCH, CAMPAIGN_IMAGES, RUNS = 60, 25, 5


def seconds(work: Callable[[], object], repeats: int = 1, clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    for _ in range(repeats):
        work()
    return (clock() - started) / repeats


def rates(bare: Sequence[Callable[[], object]], trials: Sequence[Callable[[], object]], rounds: int, what: str) -> dict[str, Any]:
    """Bare time over fault time of each round; the trials are shared out over the rounds, the bare passes lie around them."""
    for work in (*bare, *trials[:5]):
        work()
    rows: list[dict[str, Any]] = []
    for number, part in enumerate(np.array_split(np.arange(len(trials)), rounds)):
        before = min(seconds(work, 3, time.process_time) for work in bare)
        fault = sum(seconds(trials[place], clock=time.process_time) for place in part) / len(part)
        after = min(seconds(work, 3, time.process_time) for work in bare)
        rows.append({"what": what, "round": number, "bare_ms": 500 * (before + after), "fault_ms": 1000 * fault})
    ratios = [row["bare_ms"] / row["fault_ms"] for row in rows]
    total = sum(row["bare_ms"] for row in rows) / sum(row["fault_ms"] for row in rows)
    record.progress(f"{what}: {total:.2f} times (rounds {min(ratios):.2f} to {max(ratios):.2f})")
    low, high = np.quantile(ratios, [0.25, 0.75])
    return {"rate": total, "quartiles_of_rounds": [low, high], "rows": rows}


def trained(data: DataSet, images: int) -> State:
    graph = residual_cnn()
    generator = torch.Generator().manual_seed(0)
    network = Network(graph, he_state(graph, generator))
    train(network, data, settings=TrainerSettings(), augmentation=Augmentation(), images=images, generator=generator)
    return network.state()


def drawn(bits: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Uniformly drawn bits, sorted within batches of 60: a campaign tries a batch layer by layer, too."""
    return np.concatenate([np.sort(part) for part in np.split(rng.integers(bits, size=count), range(BATCH, count, BATCH))])


def weight_trials(program: Program, pictures: torch.Tensor, count: int) -> tuple[list[Callable[[], object]], FastSimulator]:
    engine, population, rng = FastSimulator(program, pictures), program.memory.population, np.random.default_rng(0)
    changes = [program.memory.changes(Single().at(population, int(bit), rng)) for bit in drawn(population.size, count, rng)]
    return [lambda change=change: engine.weights(change) for change in changes], engine  # type: ignore[misc]


def activation_trials(program: Program, pictures: torch.Tensor, count: int) -> list[Callable[[], object]]:
    """Each trial is a fault in every image of the micro-batch, all in one stored tensor drawn by its bits."""
    engine, population, rng = FastSimulator(program, pictures), program.activations, np.random.default_rng(1)
    trials: list[Callable[[], object]] = []
    for tensor in population.locate(rng.integers(population.size, size=count)).tensors.tolist():
        elements = rng.integers(population.tensors[tensor].size, size=len(pictures))
        bits = rng.integers(population.tensors[tensor].format.bits, size=len(pictures))
        upsets = [Upset(image=i, element=int(e), mask=1 << int(b)) for i, (e, b) in enumerate(zip(elements, bits, strict=True))]
        trials.append(lambda tensor=tensor, upsets=upsets: engine.activations(tensor, upsets))  # type: ignore[misc]
    return trials


def int8_trials(bench: QdqTarget, engine: QdqSimulator, count: int) -> list[Callable[[], object]]:
    population, rng = bench.memory.population, np.random.default_rng(2)
    for tensor in population.tensors:  # a campaign opens each session once
        bench.suffix(tensor.name)
    changes = [bench.memory.changes(Single().at(population, int(bit), rng)) for bit in drawn(population.size, count, rng)]
    return [lambda change=change: engine.weights(change) for change in changes]  # type: ignore[misc]


def time_gain(program: Program, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Our campaign's time to the half-width, and what a plain loop would take."""
    examples = Examples(images=images, labels=labels)

    population, rng = program.memory.population, np.random.default_rng(9)

    def campaign(seed: int, half_width: float, pictures: int) -> dict[str, Any]:
        settings = FaultSettings(half_width=half_width, seed=seed, images=pictures)
        started = time.process_time()
        found = Campaign("residual_cnn", TorchTarget(program), examples, settings).single(None, lambda stage: None)
        elapsed = time.process_time() - started
        sample, mean = found.sampler.sample(), found.sampler.estimate()
        variance = float(sample.weights() @ sample.values**2) - mean.value**2
        record.progress(
            f"campaign {seed}: {elapsed:.1f} s, {len(found.rows)} faults, {mean.value:.2f} ± {mean.half_width:.2f} points"
        )
        return {"seed": seed, "seconds": elapsed, "faults": len(found.rows), "drop": mean.value,
                "half_width": mean.half_width, "standard_deviation": variance**0.5}  # fmt: skip

    def plain(count: int) -> float:
        """Seconds of a fault of a plain loop, in micro-batches that the cache holds: 1,000 images at once take twice as long."""
        batches = [torch.from_numpy(part) for part in np.split(images[:count], range(IMAGES, count, IMAGES))]

        def trial() -> None:
            changes = program.memory.changes(Single().at(population, int(rng.integers(population.size)), rng))
            weights = program.with_changes(changes)
            with torch.inference_mode():
                for pictures in batches:
                    program.run(pictures, weights).argmax(1)

        return seconds(trial, 3, clock=time.process_time)

    longer = campaign(RUNS, HALF_WIDTH / 10, IMAGES)
    needed = (1.96 * longer["standard_deviation"] / HALF_WIDTH) ** 2
    runs = []
    for seed in range(RUNS):
        before = plain(PLAIN_IMAGES)
        run = campaign(seed, HALF_WIDTH, CAMPAIGN_IMAGES)
        run["plain_fault_s"], run["plain_fault_s_same_images"] = (before + plain(PLAIN_IMAGES)) / 2, plain(CAMPAIGN_IMAGES)
        run["gain"] = needed * run["plain_fault_s"] / run["seconds"]
        runs.append(run)

    def median(name: str) -> float:
        return float(np.median([run[name] for run in runs]))

    same = needed * median("plain_fault_s_same_images")
    return {
        "ours_s": median("seconds"), "runs": runs, "longer": longer, "plain_faults": needed,
        "plain_s": needed * median("plain_fault_s"), "plain_s_same_images": same, "gain": median("gain"),
        "gain_same_images": same / median("seconds"),
    }  # fmt: skip


def main() -> None:
    arguments = record.parser("fault_injection_speed", QUESTION).parse_args()
    torch.set_num_threads(1)
    stamp, scale = record.machine(), 1 if arguments.quick else 3
    data = load(DataSettings(source=CIFAR10))
    graph, state = residual_cnn(), trained(data, 12_000 * scale)
    images, labels = (data.validation.images[:2000].float() / 255).numpy(), data.validation.labels[:2000].numpy()
    program = Program.of(graph, state, mean=data.mean, std=data.std)
    pictures = torch.from_numpy(images[:IMAGES])
    network = Network(graph, state).eval()
    normalised = (pictures - torch.tensor(data.mean)[:, None, None]) / torch.tensor(data.std)[:, None, None]

    def folded() -> None:
        with torch.inference_mode():
            program.run(pictures)

    def unfolded() -> None:
        with torch.inference_mode():
            network(normalised)

    float_trials, engine = weight_trials(program, pictures, 300 * scale)
    weights = rates([folded, unfolded], float_trials, 5 * scale, "weights, float32")
    activations = rates([folded, unfolded], activation_trials(program, pictures, 40 * scale), 10 * scale, "activations, float32")
    calibration = (data.train.images[:128].float() / 255).numpy()
    quantised = QdqTarget(convert(emit(graph, state, mean=data.mean, std=data.std), "int8", calibration=calibration))
    full, int8_engine = quantised.full(), QdqSimulator(quantised, images[:IMAGES])
    int8 = rates(
        [lambda: full.run([quantised.logits], {quantised.image: images[:IMAGES]})],
        int8_trials(quantised, int8_engine, 300 * scale), 5 * scale, "weights, int8",
    )  # fmt: skip
    gain = time_gain(program, images, labels)
    program.memory.check_unharmed()
    rows = [*weights.pop("rows"), *activations.pop("rows"), *int8.pop("rows")]
    results = {
        "clean_accuracy": float((program.run(torch.from_numpy(images[:1000])).argmax(1).numpy() == labels[:1000]).mean()),
        "computed_exactly": engine.exact / engine.tried,
        "weights": weights, "activations": activations, "int8": int8, "time": gain,
    }  # fmt: skip
    record.record(
        benchmark="fault_injection_speed",
        question=QUESTION,
        results=results,
        rows=rows,
        goals=[
            record.at_least("weight_rate", weights["rate"], 8, "times the bare pass"),
            record.at_least("activation_rate", activations["rate"], 1.5, "times the bare pass"),
            record.at_least("int8_rate", int8["rate"], 4, "times the bare pass"),
            record.at_least("time_gain", gain["gain"], 200, "times"),
        ],
        command=record.command(),
        quick=arguments.quick,
        stamp=stamp,
        out=arguments.out,
    )


if __name__ == "__main__":
    main()
