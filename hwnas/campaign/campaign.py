"""Fault campaigns: draw faults, see what they do, until the interval is narrow enough; resumable at any moment."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.campaign.images import CURVE_IMAGES, Examples, MicroBatches
from hwnas.campaign.journal import Journal, opened
from hwnas.campaign.settings import FaultSettings
from hwnas.campaign.trials import CurveTrials
from hwnas.errors import DataError, StoreError
from hwnas.injection.bit_errors import activation_masks
from hwnas.injection.predictions import FaultEffect, effect
from hwnas.injection.simulator import Upset
from hwnas.injection.target import FaultTarget
from hwnas.resilience import (
    Batch,
    BitErrors,
    Curve,
    Estimate,
    Fault,
    Format,
    Outcomes,
    Population,
    Sampler,
    SamplingPlan,
    Stratum,
    TrialKind,
    plain_kinds,
    stratify,
)

WEIGHT_BATCH, ACTIVATION_BATCH = 64, 512
_STREAM_BER = 1
# What is read of a row, to go on or for the figures, and between which values it lies.
_READ: Mapping[str, tuple[float, float]] = {
    "bit": (0, 2**62),
    "drop": (-100, 100),
    "changed": (0, 1),
    "unrecoverable": (0, 1),
    "masked": (0, 1),
    "cost": (0, 1e9),
    "effective": (0, 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How far a campaign is: ``faults`` were tried, of ``ber`` trials run; ``estimate`` of a fault's mean drop in points or of
    the area in per cent (None while the pilot is at work)."""

    model: str
    what: str
    faults: int
    estimate: Estimate | None


def as_text(stage: Stage) -> str:
    """A line for a log or a terminal."""
    so_far = "pilot" if stage.estimate is None else f"{stage.estimate.value:.3g} ± {stage.estimate.half_width:.2g}"
    if stage.what == "ber":
        return f"{stage.model}: ber, {stage.faults} trials, area {so_far} %"
    return f"{stage.model}: {stage.what}, {stage.faults} faults, {so_far}{'' if stage.estimate is None else ' points'}"


Watch = Callable[[Stage], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleCampaign:
    """Faults one at a time: the sample's strata, and a row for each fault in the order told."""

    population: Population
    strata: tuple[Stratum, ...]
    sampler: Sampler
    rows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveCampaign:
    """Trials at bit error rates, a row for each; ``limited``: their number reached its limit before the interval its width."""

    curve: Curve
    limited: bool
    rows: list[dict[str, Any]] = field(repr=False)


class Campaign:
    """One network, one format, some images: everything a campaign needs but its file."""

    def __init__(
        self, name: str, bench: FaultTarget, examples: Examples, settings: FaultSettings, check: Callable[[], None] = lambda: None
    ) -> None:
        """``check`` is called before every computation: what it raises stops the campaign, and what was tried is kept.

        Raises DataError where images or labels do not fit the network.
        """
        _check_data(bench, examples)
        self.name, self.bench, self.settings, self._check = name, bench, settings, check
        self._examples, self._micro_batches = examples, MicroBatches(bench, examples, settings, check)
        self._models = settings.models()

    def header(self) -> dict[str, Any]:
        """What the campaign's file must say to be gone on with."""
        return {
            "campaign": "hwnas faults 9",
            "model": self.name,
            "memory_sha256": self.bench.memory.sha256(),
            "function_sha256": self.bench.function_sha256,
            "data_sha256": self._examples.sha256,
            **self.settings.identity(),
        }

    def single(self, path: Path | None, watch: Watch) -> SingleCampaign:
        """Faults one at a time until the mean drop is known to ``half_width`` points."""
        with opened(path, self.header()) as journal:
            return self._single(journal, watch)

    def _single(self, journal: Journal, watch: Watch) -> SingleCampaign:
        settings, on_weights = self.settings, self.settings.target == "weights"
        population = self.bench.memory.population if on_weights else self.bench.activations
        strata = stratify(population)
        plan = SamplingPlan(
            seed=settings.seed,
            batch=WEIGHT_BATCH if on_weights else ACTIVATION_BATCH,
            max_faults=settings.max_faults,
            largest_value=self._largest_drop() if on_weights else 100.0,  # an activation fault meets one image: all or nothing
        )
        sampler = Sampler(strata, plan)
        batches = _replay(sampler, journal)
        while not sampler.done(settings.half_width):
            batch = sampler.ask()
            if not len(batch.bits):
                break
            rows: list[dict[str, Any]] = []
            try:
                rows.extend(self._weight_rows(batch, batches) if on_weights else self._activation_rows(batch, batches))
            finally:  # a list keeps what came before the exception
                journal.append(rows)
            sampler.tell(_outcomes(rows))
            batches += 1
            watch(Stage(model=self.name, what=settings.fault, faults=len(journal.rows), estimate=_so_far(sampler)))
        self.bench.memory.check_unharmed()
        return SingleCampaign(population=population, strata=strata, sampler=sampler, rows=journal.rows)

    def curve(self, path: Path | None, watch: Watch) -> CurveCampaign:
        """Trials of every kind, until the area under the curve is known to the half-width or ``TrialPlan.limit`` were run.

        The next trial follows from the seed and from what came of those before it. Raises StoreError where the file's rows are
        not these trials.
        """
        with opened(path, self.header()) as journal:
            return self._curve(journal, watch)

    def _curve(self, journal: Journal, watch: Watch) -> CurveCampaign:
        settings, clean, chance = self.settings, self._curve_clean, 1.0 / self.bench.classes
        if clean <= chance:
            raise DataError(f"{self.name} is right on {clean:.1%} of the images, no more than by chance: it has no curve")
        errors = BitErrors(self.bench.memory.population, settings.bers) if settings.target == "weights" else None
        trials = CurveTrials(plain_kinds(len(settings.bers)) if errors is None else errors.kinds, settings.bers, clean, chance)
        while True:
            for number, trial in (wanted := trials.wanted()):
                if trials.told == len(journal.rows):
                    self._check()
                    journal.append([self._trial(errors, trials.kinds, number, trial, clean)], last=(number, trial) == wanted[-1])
                trials.tell(number, trial, journal.rows[trials.told])
            area = trials.curve().area().scaled(100.0)
            watch(Stage(model=self.name, what="ber", faults=trials.told, estimate=area))
            reached, more = area.half_width <= settings.half_width, bool(trials.wanted())
            if trials.told >= len(journal.rows) and (reached or not more):
                break
            if not more:
                raise StoreError(
                    f"the campaign file has {len(journal.rows)} rows where no more than {trials.told} are drawn; "
                    "move the file away to start again"
                )
        self.bench.memory.check_unharmed()
        return CurveCampaign(curve=trials.curve(), limited=not reached, rows=journal.rows)

    def clean_error(self) -> float:
        """Share of all images that the network gets wrong without a fault."""
        return self._micro_batches.clean_error()

    def has_curve(self) -> bool:
        """Whether the network knows more than chance, on the images that curves are made of."""
        return self._curve_clean > 1.0 / self.bench.classes

    def _largest_drop(self) -> float:
        """About the most that a fault can cost or gain, in points: what the network has right, or wrong, of the curves' images.

        A micro-batch may hold a few points more; of one alone it would be another by a fifth from seed to seed.
        """
        return 100.0 * max(self._curve_clean, 1.0 - self._curve_clean)

    @cached_property
    def _curve_clean(self) -> float:
        return 1.0 - self._micro_batches.clean_error(CURVE_IMAGES)

    def _weight_rows(self, batch: Batch, number: int) -> Iterator[dict[str, Any]]:
        engine, labels = self._micro_batches.meet(number)
        memory = self.bench.memory
        for bit in batch.bits.tolist():
            self._check()
            faults = self._faults(memory.population, bit)
            changes = memory.changes(faults)
            found = effect(engine.weights(changes), engine.classes, labels)
            before = memory.arrays[faults[0].tensor].reshape(-1)[faults[0].element]
            layer = memory.layers[faults[0].tensor]
            yield {
                "bit": bit,
                "batch": number,
                **_fault_columns(faults[0], layer, len(faults)),
                **_word_columns(memory.formats[faults[0].tensor], faults[0], before, changes[0].values[0]),
                **_damage_columns(found, self.bench.costs[layer]),
            }

    def _activation_rows(self, batch: Batch, number: int) -> Iterator[dict[str, Any]]:
        """Each fault meets one image: those of a stored tensor are computed together, one for each image of the micro-batch."""
        engine, labels = self._micro_batches.meet(number)
        population = self.bench.activations
        places = population.locate(batch.bits)
        for tensor in np.unique(places.tensors).tolist():
            mine = np.flatnonzero(places.tensors == tensor)
            layer, layout = population.tensors[tensor].layer, population.tensors[tensor].format
            stored = engine.stored(tensor)
            for group in np.split(mine, range(len(labels), len(mine), len(labels))):
                faults = [self._faults(population, int(batch.bits[place]))[0] for place in group]
                before = [stored[image, fault.element : fault.element + 1] for image, fault in enumerate(faults)]
                after = [fault.applied(word, layout) for fault, word in zip(faults, before, strict=True)]
                upsets = [  # a bit that is stuck at the level it has flips nothing
                    Upset(image=image, element=fault.element, mask=int((layout.words(old) ^ layout.words(new))[0]))
                    for image, (fault, old, new) in enumerate(zip(faults, before, after, strict=True))
                ]
                self._check()
                answers = engine.activations(tensor, upsets)
                for image, (place, fault) in enumerate(zip(group.tolist(), faults, strict=True)):
                    one = slice(image, image + 1)
                    part = type(answers)(classes=answers.classes[one], masked=answers.masked[one])
                    found = effect(part, engine.classes[one], labels[one])
                    yield {
                        "bit": int(batch.bits[place]),
                        "batch": number,
                        **_fault_columns(fault, layer, 1),
                        **_word_columns(layout, fault, before[image][0], after[image][0]),
                        "image": image,
                        **_damage_columns(found, self.bench.costs[layer]),
                    }

    def _faults(self, population: Population, bit: int) -> tuple[Fault, ...]:
        rng = np.random.default_rng([self.settings.seed, bit])
        return self._models[int(rng.integers(len(self._models)))].at(population, bit, rng)

    def _trial(
        self, errors: BitErrors | None, kinds: Sequence[TrialKind], number: int, trial: int, clean: float
    ) -> dict[str, Any]:
        kind, (engine, labels) = kinds[number], self._micro_batches.meet(trial)
        ber, memory, cost = self.settings.bers[kind.rate], self.bench.memory, 1.0
        rng = np.random.default_rng([self.settings.seed, _STREAM_BER, trial, number])
        if errors is not None:
            bits = errors.draw(kind, rng)
            changes = memory.flipped(bits)
            flips, answers = len(bits), engine.weights(changes)
            cost = max(self.bench.costs[memory.layers[change.tensor]] for change in changes)
        else:
            masks, flips = activation_masks(self.bench.activations, len(labels), ber, rng)
            answers = engine.disturbed(masks)
        found = effect(answers, engine.classes, labels)
        return {
            "ber": ber,
            "kind": kind.name,
            "share": kind.share,
            "trial": trial,
            "flips": flips,
            "accuracy": clean - found.drop / 100,
            "changed": found.changed,
            "unrecoverable": found.unrecoverable,
            "cost": cost,
        }


def _check_data(bench: FaultTarget, examples: Examples) -> None:
    takes, have = tuple(bench.shape), tuple(examples.images.shape[1:])
    if takes != have:
        is_last = takes[-1] == have[0] != takes[0]
        why = "; its channels come last (NHWC): export it with channels first (NCHW), as tf2onnx does with --inputs-as-nchw"
        raise DataError(f"the model takes images of shape {takes}, the data have {have}{why if is_last else ''}")
    if len(examples.labels) < 2 or int(examples.labels.max()) >= bench.classes:
        raise DataError(
            f"the model knows {bench.classes} classes, the data have {len(examples.labels)} images of classes up to number "
            f"{int(examples.labels.max(initial=-1))}; give data of the model's classes"
        )


def _replay(sampler: Sampler, journal: Journal) -> int:
    """Tell a fresh sampler what the file holds; gives the number of whole batches.

    Raises StoreError where the rows are not those that this campaign draws.
    """
    told = batches = 0
    while told < len(journal.rows):
        size = len(sampler.ask().bits)
        part = journal.rows[told : told + max(1, size)]
        if wrong := [name for row in part for name, allowed in _READ.items() if not _is_within(row.get(name), allowed)]:
            low, high = _READ[wrong[0]]
            raise StoreError(
                f"a row of the campaign file has no {wrong[0]} from {low:g} to {high:g}; move the file away to start again"
            )
        sampler.tell(_outcomes(part))
        told += len(part)
        batches += len(part) == size
    return batches


def _is_within(value: object, allowed: tuple[float, float]) -> bool:
    return isinstance(value, int | float) and allowed[0] <= value <= allowed[1]


def _outcomes(rows: Sequence[Mapping[str, Any]]) -> Outcomes:
    return Outcomes(
        bits=np.array([row["bit"] for row in rows], np.int64),
        values=np.array([row["drop"] for row in rows], float),
        costs=np.array([row["cost"] for row in rows], float),
    )


def _so_far(sampler: Sampler) -> Estimate | None:
    sample = sampler.sample()
    return sampler.estimate() if (sample.counts >= np.minimum(2, sample.design.sizes)).all() else None


def _fault_columns(fault: Fault, layer: str, words: int) -> dict[str, Any]:
    return {
        "layer": layer,
        "tensor": fault.tensor,
        "index": fault.element,
        "bits": list(fault.bits),
        "kind": fault.kind.value,
        "words": words,
    }


def _word_columns(layout: Format, fault: Fault, before: Any, after: Any) -> dict[str, Any]:
    words = [int(layout.words(np.array([value], layout.storage))[0]) for value in (before, after)]
    bits = [(word >> fault.bits[0]) & 1 for word in words]
    old, new = (float(layout.decode(np.array([value], layout.storage))[0]) for value in (before, after))
    direction, effective = f"{bits[0]}->{bits[1]}", words[0] != words[1]
    return {"direction": direction, "effective": effective, "old": _json_number(old), "new": _json_number(new)}


def _json_number(value: float) -> float | str:
    """JSON has no infinities and no NaN."""
    return value if math.isfinite(value) else str(value)


def _damage_columns(found: FaultEffect, cost: float) -> dict[str, Any]:
    return {
        "drop": found.drop,
        "changed": found.changed,
        "unrecoverable": found.unrecoverable,
        "masked": found.masked,
        "cost": cost,
    }
