"""From a configuration to the parts of a run, every one of them checked before anything is written."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch

from hwnas.config import Final, RunConfig
from hwnas.data import DataSet, default_augmentation, load
from hwnas.device import Device, HardwareProfile, load_profile, open_device
from hwnas.errors import ConfigError, StoreError
from hwnas.estimate import Accelerator
from hwnas.execution import unpack
from hwnas.experiment.cheap import GraphValues
from hwnas.experiment.former_front import former_front
from hwnas.experiment.predicted_change import NAME as EXPECTED_CHANGE
from hwnas.experiment.starts import Brought, Start, start_networks
from hwnas.experiment.tuned import tuned_settings
from hwnas.graph import Graph, architecture_id
from hwnas.importing import NetworkSource
from hwnas.morphism import Operator, operators_named
from hwnas.network import State
from hwnas.objective import Limit, Objective
from hwnas.objectives import DeviceObjective, GraphObjective, Source, TrainedObjective, limit_on, objectives_named, sources_named
from hwnas.search import CheapValues, Guarded, Problem, Strategy, StrategySettings, TunedSetting, name_of
from hwnas.settings import Augmentation, DataSettings, Rungs, TrainerSettings
from hwnas.settings.reference import import_modules, versions
from hwnas.spaces import initial_graphs
from hwnas.training import error_of_guessing, training_device

# Above this many pixels a network is bound by arithmetic, not by the number of operations.
LARGE_IMAGE_PIXELS = 16 * 16
SHIFTS_FROM_EPOCHS = 5
EPSILON = 1e-9  # than guessing: shares of images that are less are so by much more
UNBALANCED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What a run is made of, but for the store and the workers.

    Where latency is an objective or a limit there is a ``device`` or, of an analytic profile, an ``accelerator``.
    """

    config: RunConfig
    data_settings: DataSettings
    data: DataSet
    augmentation: Augmentation | None
    trainer: TrainerSettings
    strategy_settings: StrategySettings
    operators: tuple[Operator, ...]
    rungs: Rungs
    tuned: tuple[TunedSetting, ...]
    objectives: tuple[Objective, ...]
    sources: tuple[Source, ...]
    graph_values: GraphValues
    limits: tuple[Limit, ...]
    initial: tuple[Graph, ...]
    starts: tuple[Start, ...]
    profile: HardwareProfile
    device: Device | None
    accelerator: Accelerator | None

    @property
    def own_versions(self) -> dict[str, int]:
        """The versions of a user's own objectives, operators and strategy, by reference: a resume asks for the same."""
        config = self.config
        things: dict[str, object] = dict(zip(config.objectives, self.sources, strict=True))
        things |= dict(zip(config.operators, self.operators, strict=False))
        return versions(things | {name_of(self.strategy_settings): self.strategy_settings})

    @property
    def hard_limits(self) -> tuple[Limit, ...]:
        """The limits on what is known before a training. One on what a training tells bounds its objective, on the front."""
        bounded = {objective.name for objective in self.objectives if objective.upper_bound is not None}
        return tuple(limit for limit in self.limits if limit.objective not in bounded)

    @property
    def predicts_change(self) -> bool:
        """Whether the expected change of networks is predicted before they are trained: to steer the search, or for a limit."""
        is_asked_for = self.config.steering or EXPECTED_CHANGE in self.config.limits
        return is_asked_for and EXPECTED_CHANGE in {objective.name for objective in self.objectives}

    @property
    def of_device(self) -> tuple[DeviceObjective, ...]:
        """The objectives that are measured on the device."""
        return tuple(source for source in self.sources if isinstance(source, DeviceObjective))

    @property
    def of_trained(self) -> tuple[str, ...]:
        """The names and references of the objectives that a worker computes from a trained network."""
        pairs = zip(self.config.objectives, self.sources, strict=True)
        return tuple(name for name, source in pairs if isinstance(source, TrainedObjective))

    @property
    def device_sha256(self) -> str | None:
        """What the run's latencies belong to: the device's fingerprint, or the analytic profile itself."""
        if self.device is not None:
            return self.device.fingerprint().sha256()
        return None if self.accelerator is None else self.profile.sha256()

    def brought(self, graph: Graph) -> State:
        """The weights of a network that the run begins with. Raises StoreError where it brought none."""
        for start in self.starts:
            if start.graph == graph:
                return unpack(start.weights)
        raise StoreError(f"the run has no weights of the network {architecture_id(graph)} that it began with")

    def close(self) -> None:
        """Let go of the device."""
        if self.device is not None:
            self.device.close()

    def augmentation_for(self, images: int) -> Augmentation:
        """As configured; by default what suits the data, but no shifts where a child sees each image less than five times.

        Measured on CIFAR-10, 54 k parameters, 50,000 and 100,000 images: 39.8 and 34.6 % error with flips alone, 41.9 and 36.2 %
        with shifts by 2 pixels as well.
        """
        if self.augmentation is not None:
            return self.augmentation
        usual = default_augmentation(self.data)
        return usual if images >= SHIFTS_FROM_EPOCHS * len(self.data.train) else dataclasses.replace(usual, crop_padding=0)

    def strategy(self, cheap: CheapValues) -> Strategy:
        """The configured search strategy, at its beginning."""
        may_steer = [each.predicted and (each.cheap or self.config.steering) for each in self.objectives]
        problem = Problem(
            objectives=tuple(replace(each, predicted=may) for each, may in zip(self.objectives, may_steer, strict=True)),
            limits=self.limits,
            initial=self.initial,
            starts=tuple(start.step for start in self.starts),
            operators=self.operators,
            cheap=cheap,
            seed=self.config.seed,
            tuned=self.tuned,
        )
        return Guarded(self.strategy_settings, problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeState:
    """What a run was started with and continues with, whatever its profile's file or this machine's CPU would give now.

    ``initial``: networks that it begins with, besides those of the search space; ``starts``: such that bring their weights;
    ``networks``: what these are to be taken from, once the data are known.
    """

    profile: HardwareProfile | None = None
    trainer: TrainerSettings | None = None
    reference_nominal_ms: float | None = None
    initial: tuple[Graph, ...] = ()
    starts: tuple[Start, ...] = ()
    networks: tuple[NetworkSource, ...] = ()


def assemble(config: RunConfig, kept: ResumeState = ResumeState()) -> RunContext:
    """The parts of a run. Raises RequestError where the configuration, the data or the profile is wrong, DeviceError where
    the device cannot be reached."""
    import_modules(config.imports)
    profile = kept.profile or load_profile(config.device)
    data = load(config.data_settings)
    brought = Brought(starts=kept.starts) if kept.starts else _brought(config, kept, data)
    if config.freeze and config.with_initial:
        raise ConfigError("freeze is for the network of --start alone, and the space's own would begin with it: leave one out")
    if brought.normalisation is not None and config.data.normalisation is None:  # the network's own: the run keeps it
        own = tuple(chain.from_iterable(brought.normalisation))
        config = config.model_copy(update={"data": dataclasses.replace(config.data, normalisation=own)})
        data = load(config.data_settings)
    config = config if config.max_error is not None else config.model_copy(update={"max_error": _largest_useful(config, data)})
    config = config.model_copy(update={"final": _final(config.final, data)})
    objectives = objectives_named(config.objectives, config.max_error, config.metric, config.limits)
    limits = _limits(config, profile, objectives)
    sources = sources_named(config.objectives)
    measured = [source.objective.name for source in sources if isinstance(source, DeviceObjective)]
    measures = bool(measured) or "latency_ms" in {limit.objective for limit in limits}
    trainer = kept.trainer or _trainer(config, data).model_copy(update={"frozen": brought.frozen})
    if config.executor == "local":  # a cluster's nodes have devices of their own
        training_device(trainer.device)
    analytic = profile.kind == "analytic"
    if analytic and (unknown := [name for name in measured if name != "latency_ms"]):
        raise ConfigError(f"{', '.join(unknown)} is measured on a device, and {profile.name} is computed: leave it out")
    return RunContext(
        config=config,
        data_settings=config.data_settings,
        data=data,
        augmentation=config.augmentation,
        trainer=trainer,
        strategy_settings=config.strategy,
        operators=operators_named(config.operators, brought=bool(brought.starts)),
        rungs=config.rungs,
        tuned=tuned_settings(config, trainer, default_augmentation(data)),
        objectives=objectives,
        sources=sources,
        graph_values=GraphValues([source for source in sources if isinstance(source, GraphObjective)]),
        limits=limits,
        initial=_initial(data, kept.initial, with_space=config.with_initial or not brought.starts),
        starts=brought.starts,
        profile=profile,
        device=open_device(profile, reference_nominal_ms=kept.reference_nominal_ms) if measures and not analytic else None,
        accelerator=Accelerator.of(profile) if measures and analytic else None,
    )


def _final(asked: Final, data: DataSet) -> Final:
    """What suits the data in place of what was left open: the search itself trains networks for small images in seconds."""
    if data.shape[1] * data.shape[2] > LARGE_IMAGE_PIXELS:
        return asked
    suits = {"share": 0.1, "most_epochs": 60}
    return asked.model_copy(update={name: value for name, value in suits.items() if name not in asked.model_fields_set})


def _initial(data: DataSet, own: Sequence[Graph], *, with_space: bool) -> tuple[Graph, ...]:
    """The space's initial networks, if wanted, and those given.

    Raises ConfigError where one is not for these data.
    """
    for graph in own:
        takes = tuple(graph.shapes[graph.input.id])
        if takes != data.shape or graph.classes != len(data.classes):
            raise ConfigError(
                f"an initial network takes images of shape {takes} and knows {graph.classes} classes; the data have "
                f"{data.shape} and {len(data.classes)}"
            )
    space = initial_graphs(data.shape, len(data.classes)) if with_space else ()
    graphs = [*(graph for _, graph in space), *own]
    found = {architecture_id(graph): graph for graph in graphs}
    return tuple(found.values())


def _largest_useful(config: RunConfig, data: DataSet) -> float:
    """The largest useful error by default: one less than the best constant answer's, which needs no network at all.

    1, so any, where one class is so common that this answer errs less than half as often as chance: networks that err more often
    may tell rare classes there.
    """
    guessing = error_of_guessing(data.validation.labels, config.metric)
    chance = 1 - 1 / len(data.classes)
    return guessing - EPSILON if guessing > UNBALANCED * chance else 1.0


def _brought(config: RunConfig, kept: ResumeState, data: DataSet) -> Brought:
    """The networks with weights that a new run begins with: what sources name, and an earlier run's front."""
    brought = start_networks(kept.networks, data, config.freeze)
    if config.from_run is None:
        return brought
    return brought.joined(former_front(Path(config.from_run), config.from_networks, data))


def _limits(config: RunConfig, profile: HardwareProfile, own: Sequence[Objective]) -> tuple[Limit, ...]:
    """The profile's limits, each overridden by the configuration's."""
    stated = {
        "latency_ms": profile.limits.max_latency_ms,
        "parameters": profile.limits.max_parameters,
        "macs": profile.limits.max_macs,
        "memory_kb": profile.limits.max_memory_kb,
    }
    merged = {name: float(value) for name, value in stated.items() if value is not None} | dict(config.limits)
    return tuple(limit_on(name, value, own) for name, value in merged.items())


def _trainer(config: RunConfig, data: DataSet) -> TrainerSettings:
    """As configured, else what suits the data: small images want the smallest batches, large ones bfloat16 if the CPU has it."""
    defaults: dict[str, object] = {"class_weighted": config.metric == "balanced_error"}
    if data.shape[1] * data.shape[2] > LARGE_IMAGE_PIXELS:
        defaults["batch_size"] = 32
        capabilities = torch.cpu.get_capabilities()
        if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
            defaults["precision"] = "bfloat16"
    return TrainerSettings.model_validate(defaults | config.trainer.model_dump(exclude_unset=True))
