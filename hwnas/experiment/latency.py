"""The latencies of a run: each architecture is measured once in the search, and a predictor is fitted to what was measured."""

from hwnas.device import Device, HardwareProfile, Latency
from hwnas.estimate import LatencyPredictor
from hwnas.graph import Graph, architecture_id
from hwnas.store import MeasurementKind, RunStore

UNKNOWN_MS = 1e-6  # predicted while nothing is measured: a latency that is not known breaks no limit


class LatencyBook:
    """Measured latencies by architecture, kept in the store, and predictions for what was not measured."""

    def __init__(self, store: RunStore, device: Device, profile: HardwareProfile) -> None:
        self._store = store
        self._device = device
        self._profile = profile
        self._fingerprint = device.fingerprint().sha256()
        self._graphs: dict[str, Graph] = {}
        self._measured: dict[str, Latency] = {}
        self._predictor = LatencyPredictor.fit([], [])
        self._stored = {
            m.architecture_id: Latency.from_json(dict(m.latency))
            for m in store.measurements("search")
            if (m.fingerprint_sha256, m.profile_sha256) == (self._fingerprint, profile.sha256())
        }

    def recall(self, graph: Graph) -> Latency | None:
        """The search's latency of a network that was measured before, in this sitting or an earlier one."""
        latency = self._stored.get(architecture_id(graph))
        if latency is not None:
            self._enter(graph, latency)
        return latency

    def measure(self, graph: Graph, model: bytes) -> Latency:
        """The search's latency of a network, measured now and kept."""
        target = self._profile.measurement
        latency = self._device.measure(model, half_width=target.search_half_width, time_limit_s=target.search_time_limit_s)
        self._keep(architecture_id(graph), "search", latency)
        self._stored[architecture_id(graph)] = latency
        self._enter(graph, latency)
        return latency

    def _enter(self, graph: Graph, latency: Latency) -> None:
        """Let the predictor know; what is stored but not yet reached in a replay it must not know."""
        self._graphs[architecture_id(graph)] = graph
        self._measured[architecture_id(graph)] = latency

    def measure_finally(self, graph: Graph, model: bytes) -> Latency:
        """A front member's latency, measured anew to the profile's own target."""
        target = self._profile.measurement
        latency = self._device.measure(model, half_width=target.half_width, time_limit_s=target.time_limit_s)
        self._keep(architecture_id(graph), "final", latency)
        return latency

    def refit(self) -> None:
        """Fit the predictor to everything measured so far; what is predicted changes only here."""
        self._predictor = LatencyPredictor.fit(
            list(self._graphs.values()), [latency.latency_ms for latency in self._measured.values()]
        )

    def predicted_ms(self, graph: Graph) -> float:
        """The predicted latency of a network, measured or not: densities look at parents and children alike."""
        return self._predictor.predict(graph) if self._measured else UNKNOWN_MS

    def _keep(self, identity: str, kind: MeasurementKind, latency: Latency) -> None:
        self._store.add_measurement(
            identity,
            kind,
            latency.to_json(),
            fingerprint_sha256=self._fingerprint,
            profile_sha256=self._profile.sha256(),
        )
