"""How well do cheap proxies rank networks by what bit flips do to them?

Method: networks of different width, depth, operators and skips (initial networks of the search and chains of its morphisms),
those of a set trained alike, from scratch; those that learn too little to lose it are left out. On each, campaigns of
hwnas.injection flip bits at fixed bit error rates, one for every decade, in the weights or in the activations, deployed as
float32, bfloat16 and int8 (the real tensors of the QDQ file). Measured: the classification change rate (CCR) averaged over the
rates; one minus the normalised area under the accuracy-BER curve (loss); and, but for bfloat16, the CCR of one flip placed
uniformly over the bits (flip), which no longer says that a larger network has more bits to hit. Larger is worse in all, and in
every proxy.

Sets (proxy_networks.py): ``explored``, 64 networks on digits, on which the proxies were compared first (61 usable; int8
activations: sensitivity = ASI 0.46 [0.20, 0.67], expected change 0.85 [0.71, 0.92] then). ``digits``, 64
others, of another seed and another split of the data. ``cifar10``, 20, of 1,000 to 40,000 parameters, as int8 alone.

Proxies: the topology's indices (sensitivity = ASI, sensitivity_mean, sensitivity_max, adcr), and, from the trained weights
without injection, the expected change under independent flips in that format and target. Baselines: parameters, MACs, bits that
can be hit, depth, clean error. Correlations: Spearman and Kendall, and Spearman given parameters, MACs and clean error, with
percentile intervals over networks and fault noise; the target's split-half reliability beside them.

Declared before a network of ``digits`` or ``cifar10`` was trained: the proxy is the expected change (PROXY), the scenario
PRIMARY is CCR of int8 activations, as it was for ASI, and the goals are computed on ``digits``. ``beats_parameters_and_macs`` is
1 only where the 95 % intervals of both differences of |rho| (same resamples) lie above 0. It becomes the default objective of a
search if all three goals are met and, on ``cifar10``, its rho in that scenario is above that of ASI with an interval above 0.

That was kept to but for one thing: a first run of ``cifar10`` (float32 as well) ended in an error of a table before any figure
of it was kept or looked at; the set was run again, the same networks and trainings, as int8 alone. The goals were met on
``digits`` (0.83 [0.70, 0.90]); on ``cifar10`` rho was 0.42 [-0.03, 0.76] (ASI: -0.28 [-0.71, 0.24]), not above 0.

Then a defect was found, on ``cifar10`` and ``explored``: the expected change was a mean over 24 images, most of which comes from
those with the smallest margins, so that on ``cifar10`` two draws of 24 images agreed in no more than 0.39 (on ``explored``, where
margins are large, in 0.97). Its definition stays; it is now taken over the 256 images of the calibration (0.91), for the stored
rows, too, from the same trainings done again; only ``explored`` stays as it was. On ``cifar10`` that was not blind.

Declared before a network of it was trained: ``cifar10_more``, 64 fresh networks of CIFAR-10 of 1,000 to 60,000 parameters, of
another seed, trained twice as long, as int8; proxy, scenario and rule as above: expected_change becomes the default if, with the
goals met on ``digits``, its rho on ``cifar10_more`` is above that of ASI and has an interval above 0. Beside it: the interval of
the difference to ASI, and both CIFAR-10 sets together.

Kept to. All 64 are usable: rho 0.88 [0.81, 0.93], ASI -0.37 [-0.59, -0.13], the difference [1.01, 1.47]. So expected_change is
the default. On ``cifar10_more`` the number of bits alone has 0.84 [0.73, 0.92], which is not clearly less; on ``digits`` -0.02.

Then its definition was changed, for resilience_headline.py, where it ranked networks of GTSRB at -0.76 and now does at -0.91:
it is read where one answer in twenty changes, and of feature maps, without image and logits. What that does here was looked at
on all sets but ``cifar10_more`` before it was kept. All proxies are those of the definition as it is, from the same trainings
done again (the expected change by weight flips came out the same to a thousandth), faults as they were measured: on ``digits``
0.87 [0.76, 0.92] (0.85 [0.73, 0.92] before), on ``cifar10_more`` 0.88 [0.81, 0.93] as before, with ``cifar10`` (alone 0.66
[0.27, 0.89]) 0.87 [0.81, 0.92].

    python benchmarks/resilience_proxy.py [--quick] [--sets digits,cifar10,cifar10_more] [--processes 2]

A full run measures the sets named again; the rows of others are taken as stored. Quick recomputes all figures from the stored
rows, and trains and measures three random networks again.
"""

import argparse
import contextlib
import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np
import record
from proxy_networks import SETS, networks
from proxy_rows import BERS, FLIP_FORMATS, TARGETS, loaded, one_row
from scipy import stats

from hwnas.errors import ConfigError
from hwnas.graph import from_json, to_json
from hwnas.resilience import correlate, kendall, normalised_area, partial_spearman, spearman, split_half_reliability
from hwnas.resilience.curve import resampled_curves

QUESTION = "How well do cheap proxies rank networks by what bit flips do to them?"
MEASURES = ("ccr", "loss", "flip")
PROXY, CONFIRMED_ON, PRIMARY = "expected_change", "digits", ("int8", "activations", "ccr")
CIFAR10, DECIDED_ON = ("cifar10", "cifar10_more"), "cifar10_more"
TOPOLOGY = ("sensitivity", "sensitivity_mean", "sensitivity_max", "adcr")
BASELINES = ("parameters", "macs", "bits", "depth", "clean_error")
CONTROLS = ("parameters", "macs", "clean_error")
FAULT_BOOTSTRAPS, RESAMPLES, ANEW = 200, 500, 3


def main() -> None:
    arguments = parsed()
    stamp, rows = record.machine(), stored_rows()
    again: list[dict[str, Any]] = []
    if arguments.quick:
        again = [check_anew(rows[place]) for place in chosen(rows)]
    else:
        rows = [row for row in rows if row["set"] not in arguments.sets]
        for name in arguments.sets:
            rows += measured(name, rows, arguments.processes)
    results, goals = answers(rows)
    record.record(
        benchmark="resilience_proxy", question=QUESTION, results=results | {"measured_anew": again}, rows=rows, goals=goals,
        command=record.command(), quick=arguments.quick, stamp=stamp, out=arguments.out,
    )  # fmt: skip


def parsed() -> argparse.Namespace:
    parser = record.parser("resilience_proxy", QUESTION)
    parser.add_argument("--sets", default="digits,cifar10,cifar10_more", help="measured again by a full run")
    parser.add_argument("--processes", type=int, default=1, help="networks trained and measured at a time")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets.split(",")
    if unknown := set(arguments.sets) - set(SETS):
        parser.error(f"unknown set {', '.join(unknown)}; known are {', '.join(SETS)}")
    return arguments


def measured(name: str, others: Sequence[Mapping[str, Any]], processes: int) -> list[dict[str, Any]]:
    """A set's rows, all measured again, on networks that no other set has."""
    data = loaded(SETS[name].data)
    graphs = networks(SETS[name], data.shape, len(data.classes), [from_json(row["graph"]) for row in others])
    rows = []
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        # the largest first, so that no process is left alone with one at the end
        waiting = [pool.submit(one_row, name, place, to_json(graph)) for place, graph in reversed([*enumerate(graphs)])]
        for done in as_completed(waiting):
            rows.append(done.result())
            record.progress(f"{len(rows)} of {len(graphs)}: {line(rows[-1])}")
    return sorted(rows, key=lambda row: int(row["place"]))


def line(row: Mapping[str, Any]) -> str:
    if "left_out" in row:
        return f"{row['set']} {row['place']}, {row['parameters']:.0f} parameters, left out: {row['left_out']}"
    return (
        f"{row['set']} {row['place']}, {row['parameters']:.0f} parameters, error {row['clean_error']:.3f}, "
        f"{row['seconds']:.1f} s of which {row['train_s']:.1f} s training"
    )


def answers(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[record.Goal]]:
    """Every figure and the goals, from the rows alone."""
    sets = {name: of_set([row for row in rows if row["set"] == name]) for name in dict.fromkeys(row["set"] for row in rows)}
    if DECIDED_ON in sets:
        sets[" and ".join(CIFAR10)] = of_set([row for row in rows if row["set"] in CIFAR10])
    results = {"proxy": PROXY, "confirmed_on": CONFIRMED_ON, "primary": " ".join(PRIMARY), "sets": sets}
    primary = sets[CONFIRMED_ON]["tables"][" ".join(PRIMARY)]["proxies"][PROXY]
    beaten = all(primary[f"ahead_of_{name}"]["low"] > 0 for name in ("parameters", "macs"))
    return results, [
        record.at_least("proxy_spearman", primary["spearman"]["value"], 0.8, "Spearman's rho"),
        record.at_least("proxy_spearman_lower", primary["spearman"]["low"], 0.6, "Spearman's rho"),
        record.at_least("beats_parameters_and_macs", float(beaten), 1, "1 or 0"),
    ]


def of_set(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every table of a set."""
    usable, formats = [row for row in rows if "left_out" not in row], SETS[rows[0]["set"]].formats
    tables = {
        f"{dtype} {target} {measure}": table(usable, dtype, target, measure)
        for dtype in formats
        for target in TARGETS
        for measure in MEASURES[: 3 if dtype in FLIP_FORMATS else 2]
    }
    record.progress(f"set {' and '.join(dict.fromkeys(row['set'] for row in rows))}\n{summary(tables)}")
    return {
        "networks": len(usable),
        "left_out": {row["place"]: row["left_out"] for row in rows if "left_out" in row},
        "tables": tables,
        "mean_spearman": (means := mean_spearman(tables, formats)),
        "supported": supported(means),
    }


def table(rows: Sequence[Mapping[str, Any]], dtype: str, target: str, measure: str) -> dict[str, Any]:
    """Correlations of every proxy and baseline with one measured figure."""
    key = f"{dtype} {target}"
    rows = [row for row in rows if "left_out" not in row["scenarios"][key]]
    found = [row["scenarios"][key] for row in rows]
    measured = np.array([each[measure] for each in found])
    rng = np.random.default_rng(0)
    noise = np.array([bootstrapped(each, dtype, measure, rng) for each in found])
    names = (*TOPOLOGY, "expected_change", *BASELINES)
    columns = {name: np.array([column(row, key, name, measure) for row in rows]) for name in names}
    controls = np.column_stack([columns[name] for name in CONTROLS])
    spread = resamples(noise, columns, np.random.default_rng(1))
    proxies = {}
    for name, values in columns.items():
        rho = correlate(spearman, values, measured, np.random.default_rng(2), target_noise=noise, resamples=RESAMPLES)
        tau = correlate(kendall, values, measured, np.random.default_rng(2), target_noise=noise, resamples=RESAMPLES)
        proxies[name] = {"spearman": interval(rho), "kendall": interval(tau)}
        if name not in CONTROLS:
            with contextlib.suppress(ConfigError):  # of few networks the controls may rank a proxy fully, bits by parameters
                partial = correlate(
                    partial_spearman, values, measured, np.random.default_rng(2),
                    controls=controls, target_noise=noise, resamples=RESAMPLES,
                )  # fmt: skip
                proxies[name]["partial_spearman"] = interval(partial)
            for other in ("parameters", "macs"):
                ahead = np.abs(spread[name]) - np.abs(spread[other])
                low, high = np.quantile(ahead, [0.025, 0.975])
                proxies[name][f"ahead_of_{other}"] = {"low": low, "high": high}
            low, high = np.quantile(spread[name] - spread["sensitivity"], [0.025, 0.975])
            proxies[name]["above_sensitivity"] = {"low": low, "high": high}
    if measure == "flip":
        noise_share = float(np.mean([each["flip_standard_error"] ** 2 for each in found]) / measured.var(ddof=1))
        reliable: dict[str, Any] = {"noise_share_of_variance": noise_share}
    else:
        reliable = reliability(found)
    if "expected_change_draws" in found[0]:
        reliable["proxy_agreement"] = agreement(found)
    return {"networks": len(rows), "range": [measured.min(), measured.max()], "proxies": proxies, **reliable}


def reliability(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How well the measured CCR agrees with itself, by halves of its trials."""
    least = min(np.shape(each["changed"])[1] for each in found)
    trials = np.array([np.mean(np.array(each["changed"])[:, :least], axis=0) for each in found])
    halves = split_half_reliability(trials, np.random.default_rng(3))
    return {"ccr_reliability": halves.value, "reliability_trials": least, "ceiling": halves.ceiling}


def agreement(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Spearman's rho of the expected change from two separate draws of as many images."""
    counts = found[0]["expected_change_draws"]
    drawn = {count: np.array([each["expected_change_draws"][count] for each in found]) for count in counts}
    return {count: float(stats.spearmanr(values).statistic) for count, values in drawn.items()}


def column(row: Mapping[str, Any], key: str, name: str, measure: str) -> float:
    found = row["scenarios"][key]
    if name == "expected_change" and measure == "flip":
        return float(found["expected_flip"] / found["bits"])
    if name == "expected_change":
        return float(found[name])
    return float(found[name] if name == "bits" else row[name])


def bootstrapped(found: Mapping[str, Any], dtype: str, measure: str, rng: np.random.Generator) -> np.ndarray:
    """The figure again from resampled trials, (FAULT_BOOTSTRAPS,)."""
    if measure == "ccr":
        return np.asarray(resampled_curves(list(np.array(found["changed"])), rng, FAULT_BOOTSTRAPS).mean(1))
    if measure == "flip":
        return rng.normal(found["flip"], found["flip_standard_error"], FAULT_BOOTSTRAPS)
    curves = resampled_curves(list(np.array(found["accuracies"])), rng, FAULT_BOOTSTRAPS)
    return 1 - normalised_area(BERS[dtype], curves, clean=found["clean"], chance=found["chance"])


def resamples(noise: np.ndarray, columns: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Spearman's rho of every column in the same resamples of networks and faults, so that columns can be compared."""
    found: dict[str, list[float]] = {name: [] for name in columns}
    for _ in range(RESAMPLES):
        drawn = rng.integers(len(noise), size=len(noise))
        target = stats.rankdata(noise[drawn, rng.integers(noise.shape[1], size=len(noise))])
        for name, values in columns.items():
            found[name].append(float(np.corrcoef(stats.rankdata(values[drawn]), target)[0, 1]))
    return {name: np.array(values) for name, values in found.items()}


def interval(estimate: Any) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def mean_spearman(tables: Mapping[str, Any], formats: Sequence[str]) -> dict[str, dict[str, float]]:
    """Spearman's rho with CCR averaged over formats, by target, for every column."""
    names = next(iter(tables.values()))["proxies"]
    return {
        target: {
            name: float(np.mean([tables[f"{dtype} {target} ccr"]["proxies"][name]["spearman"]["value"] for dtype in formats]))
            for name in names
        }
        for target in TARGETS
    }


def supported(means: Mapping[str, Mapping[str, float]]) -> str:
    """The proxy, no baseline, that ranks networks by CCR best, over formats and targets."""
    return max((*TOPOLOGY, "expected_change"), key=lambda name: sum(each[name] for each in means.values()))


def summary(tables: Mapping[str, Any]) -> str:
    lines = []
    for key, found in tables.items():
        rhos = ", ".join(f"{name} {each['spearman']['value']:.2f}" for name, each in found["proxies"].items())
        lines.append(f"{key} (n = {found['networks']}): {rhos}")
    return "\n".join(lines)


def stored_rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((record.RESULTS / "resilience_proxy.json").read_text())["rows"]
    return rows


def chosen(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Some rows that were not left out and whose data are here."""
    usable = [place for place, row in enumerate(rows) if "left_out" not in row and SETS[row["set"]].is_here]
    return [int(place) for place in np.random.default_rng().choice(usable, ANEW, replace=False)]


def check_anew(row: Mapping[str, Any]) -> dict[str, Any]:
    """Train and measure a network again, with other faults; it must come out as stored.

    Allowed: four standard errors of both, and 0.03, since another CPU rounds a training otherwise.
    """
    again = one_row(row["set"], row["place"], row["graph"], seed=1)
    record.progress(line(again))
    differences = {}
    for key, before in row["scenarios"].items():
        if "left_out" in before:
            continue
        after = again["scenarios"][key]
        allowed = 4 * np.hypot(before["ccr_standard_error"], after["ccr_standard_error"]) + 0.03
        differences[key] = after["ccr"] - before["ccr"]
        if abs(differences[key]) > allowed:
            raise SystemExit(
                f"{row['set']} {row['place']}, {key}: CCR {after['ccr']:.3f}, stored {before['ccr']:.3f} ± {allowed:.3f}"
            )
    return {"set": row["set"], "place": row["place"], "ccr_differences": differences}


if __name__ == "__main__":
    main()
