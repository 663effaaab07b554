"""The latencies of a run: measured on a device (and predicted from that), or computed from an accelerator's numbers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from hwnas.candidate import Candidate
from hwnas.device import Device, HardwareProfile, Latency
from hwnas.estimate import Accelerator, LatencyPredictor, PredictorReport, leave_one_out, prediction_errors
from hwnas.experiment.context import RunContext
from hwnas.graph import Graph, architecture_id
from hwnas.objectives import DeviceObjective, checked
from hwnas.store import MeasurementKind, RunStore

_log = logging.getLogger(__name__)

LATENCY = ("latency_ms", "latency_ci_ms")
FITTED = 2000  # the newest measurements, many for so few coefficients: a refit takes milliseconds however long the run


class LatencySource(Protocol):
    """Where a search has its latencies from, and what else is measured with them.

    Values are ``latency_ms``, ``latency_ci_ms``, half of a 95 % interval, and the run's other objectives of the device.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Under which names the values stand."""

    def recall(self, graph: Graph) -> bool:
        """Take in what an earlier session had as this network's latency; False where it has none on this device."""

    def refit(self) -> None:
        """Take in what was measured; what is predicted changes only here."""

    def predicted_ms(self, graph: Graph) -> float | None:
        """The latency that a network is thought to have: densities look at parents and children alike."""

    def values(self, graph: Graph, model: Callable[[], bytes]) -> Mapping[str, float]:
        """The search's latency of a network; ``model`` gives its ONNX file where that is needed."""

    def final_values(self, graph: Graph, model: Callable[[], bytes]) -> Mapping[str, float]:
        """A front member's latency, as sure as the profile asks for."""

    def report(self, generation: int, candidates: Sequence[Candidate]) -> None:
        """Keep how well this generation was predicted, once; all of it has its latency by now."""


def latency_source(context: RunContext, store: RunStore) -> LatencySource | None:
    """What the run's profile gives; None where latency is no objective or limit."""
    if context.device is not None:
        return MeasuredLatencies(store, context.device, context.profile, context.of_device)
    return None if context.accelerator is None else AnalyticLatencies(context.accelerator)


class AnalyticLatencies:
    """Latencies from an accelerator's numbers: known without measuring, and exact by definition."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._latency_ms = lru_cache(maxsize=8192)(accelerator.latency_ms)  # a front is looked at in every generation

    @property
    def names(self) -> tuple[str, ...]:
        """The latency's alone."""
        return LATENCY

    def recall(self, graph: Graph) -> bool:
        """Every latency is known."""
        return True

    def refit(self) -> None:
        """Nothing is fitted."""

    def predicted_ms(self, graph: Graph) -> float:
        """The latency itself."""
        return self._latency_ms(graph)

    def values(self, graph: Graph, model: Callable[[], bytes]) -> Mapping[str, float]:
        """The latency, with an interval of width 0."""
        return {"latency_ms": self._latency_ms(graph), "latency_ci_ms": 0.0}

    def final_values(self, graph: Graph, model: Callable[[], bytes]) -> Mapping[str, float]:
        """The same."""
        return self.values(graph, model)

    def report(self, generation: int, candidates: Sequence[Candidate]) -> None:
        """Nothing is predicted."""


class MeasuredLatencies:
    """Measured latencies by architecture, kept in the store, and predictions for what was not measured."""

    def __init__(
        self, store: RunStore, device: Device, profile: HardwareProfile, objectives: Sequence[DeviceObjective] = ()
    ) -> None:
        self._objectives = tuple(each for each in objectives if each.objective.name not in LATENCY)
        self._store = store
        self._device = device
        self._profile = profile
        self._fingerprint = device.fingerprint().sha256()
        self._newest: dict[str, tuple[Graph, float]] = {}  # by architecture: what the predictor may know
        self._predictor = LatencyPredictor.fit([], [])
        earlier = list(store.events("predictor", PredictorReport))
        self._reported = {event.generation for event in earlier}
        self._reports: list[PredictorReport] = [
            event.payload for event in earlier if event.payload.fingerprint_sha256 in (self._fingerprint, None)
        ]
        self._stored = {
            # Of the run's own nominal already, but for those of an attempt to measure everything again that was cut short.
            m.architecture_id: m.latency.at_nominal(device.reference_nominal_ms)
            for m in store.measurements("search", Latency)
            if (m.fingerprint_sha256, m.profile_sha256) == (self._fingerprint, profile.sha256())
        }

    def values(self, graph: Graph, model: Callable[[], bytes]) -> Mapping[str, float]:
        """The search's latency of a network, measured in this session or an earlier one, or now, and kept."""
        identity, target = architecture_id(graph), self._profile.measurement
        latency = self._stored.get(identity)
        if latency is None:
            latency = self._device.measure(model(), half_width=target.search_half_width, time_limit_s=target.search_time_limit_s)
            self._keep(identity, "search", latency)
            self._stored[identity] = latency
        self._learn(graph, latency)
        return self._values(latency)

    @property
    def names(self) -> tuple[str, ...]:
        """The latency's, and those of the run's other objectives of the device."""
        return (*LATENCY, *(each.objective.name for each in self._objectives))

    def _values(self, latency: Latency) -> dict[str, float]:
        values = {"latency_ms": latency.latency_ms, "latency_ci_ms": latency.ci_ms}
        for each in self._objectives:
            values[each.objective.name] = checked(each.objective, each.of_device, latency)
        return values

    def recall(self, graph: Graph) -> bool:
        """Take in what an earlier session had as this network's latency; False where it has none on this device."""
        latency = self._stored.get(architecture_id(graph))
        if latency is not None:
            self._learn(graph, latency)
        return latency is not None

    def _learn(self, graph: Graph, latency: Latency) -> None:
        # Only now may the predictor know: what is stored but not yet reached in a replay it must not.
        identity = architecture_id(graph)
        self._newest.pop(identity, None)
        self._newest[identity] = (graph, latency.latency_ms)
        if len(self._newest) > FITTED:
            del self._newest[next(iter(self._newest))]

    def final_values(self, graph: Graph, model: Callable[[], bytes]) -> Mapping[str, float]:
        """A front member's latency, measured again to the profile's own target."""
        target = self._profile.measurement
        latency = self._device.measure(model(), half_width=target.half_width, time_limit_s=target.time_limit_s)
        self._keep(architecture_id(graph), "final", latency)
        return self._values(latency)

    def report(self, generation: int, candidates: Sequence[Candidate]) -> None:
        """Keep, as an event ``predictor``, what was predicted at acceptance beside what was measured; ``so_far`` pools the run.

        Networks that were accepted before anything was measured are predicted from one another.
        """
        if generation in self._reported or len(candidates) < 2:
            return
        measured = [self._stored[candidate.architecture_id].latency_ms for candidate in candidates]
        known = [candidate.cheap["latency_ms"] for candidate in candidates if "latency_ms" in candidate.cheap]
        predicted, of = known, "generation"
        if len(known) < len(candidates):
            predicted, of = leave_one_out([candidate.graph for candidate in candidates], measured), "leave_one_out"
        report = PredictorReport(
            of=of, predicted_ms=tuple(predicted), measured_ms=tuple(measured), fingerprint_sha256=self._fingerprint
        )
        self._reports.append(report)
        self._reported.add(generation)
        pooled = PredictorReport.pooled(self._reports)
        payload = {**report.to_json(), "so_far": prediction_errors(pooled.predicted_ms, pooled.measured_ms)}
        self._store.add_event("predictor", payload, generation=generation)
        _log.info("latency predictor, generation %d: %s; so far: %s", generation, report.as_text(), pooled.as_text())

    def refit(self) -> None:
        """Fit the predictor to the newest measurements; what is predicted changes only here."""
        newest = self._newest.values()
        self._predictor = LatencyPredictor.fit([graph for graph, _ in newest], [latency_ms for _, latency_ms in newest])

    def predicted_ms(self, graph: Graph) -> float | None:
        """The predicted latency of a network, measured or not: densities look at parents and children alike.

        None while nothing is measured: what is not known breaks no limit.
        """
        return self._predictor.predict(graph) if self._newest else None

    def _keep(self, identity: str, kind: MeasurementKind, latency: Latency) -> None:
        self._store.add_measurement(
            identity,
            kind,
            latency.to_json(),
            fingerprint_sha256=self._fingerprint,
            profile_sha256=self._profile.sha256(),
        )
