"""Starting and resuming a run."""

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from hwnas.config import RunConfig
from hwnas.data import DataCard, default_augmentation, describe
from hwnas.device import Fingerprint, HardwareProfile
from hwnas.errors import ConfigError, RequestError
from hwnas.execution import Executor, InlineExecutor, LocalExecutor
from hwnas.execution.threads import one_thread
from hwnas.experiment.after_search import stored_front, train_front
from hwnas.experiment.budget import PLANNED_GENERATIONS, ChildBudget, Clock, default_images, images_in_time, search_budget
from hwnas.experiment.context import ResumeState, RunContext, assemble
from hwnas.experiment.device_model import errors_computed
from hwnas.experiment.feasible import refuse_impossible
from hwnas.experiment.finish import finish
from hwnas.experiment.generational import search_in_generations
from hwnas.experiment.interrupt import Interrupt
from hwnas.experiment.remeasure import refuse_collected
from hwnas.experiment.remeasure import remeasure as measure_anew
from hwnas.experiment.session import Ended, Session
from hwnas.experiment.starts import META as STARTS
from hwnas.experiment.starts import as_facts, stored_starts
from hwnas.experiment.steady_state import search_steadily
from hwnas.experiment.tasks import images_per_second
from hwnas.graph import Graph, from_json, to_json
from hwnas.importing import NetworkSource
from hwnas.models.loading import stored_config
from hwnas.progress.progress import Listener, Progress, silent
from hwnas.store import FORMER_PROFILE, RunStore, refuse_used
from hwnas.training import TrainerSettings
from hwnas.version import __version__

_log = logging.getLogger(__name__)
CARD = "data_card"  # the meta entry that holds what `hwnas.data.describe` said of the run's data


@one_thread()
def start(
    config: RunConfig,
    folder: Path,
    *,
    initial: Sequence[Graph] = (),
    networks: Sequence[NetworkSource] = (),
    listener: Listener = silent,
) -> Ended:
    """Search into a new run folder, beginning with ``initial`` networks besides the space's own (kept with generation 0), and
    with networks that are taken from ``networks`` with their weights, in place of the space's.

    Raises RequestError before anything is written where the request is wrong.
    """
    began = time.monotonic()
    refuse_used(folder)
    with closing(assemble(config, ResumeState(initial=tuple(initial), networks=tuple(networks)))) as context:
        refuse_impossible(context)
        with executor_for(context) as executor:
            card = _say_what_is_done(context, listener)
            executor.warm_up()
            clock = Clock(search_budget(context.config.budget, context.config.final), time.monotonic() - began)
            child = _child_budget(context, executor)
            with RunStore.create(
                folder,
                config=context.config.model_dump_json(),
                meta=_meta(context, child, initial) | {CARD: card.to_json()},
                given=[each.weights for each in context.starts],
            ) as store:
                return _search(context, store, executor, clock, child, listener)


@one_thread()
def resume(
    folder: Path,
    *,
    changes: Mapping[str, object] | None = None,
    expected: Mapping[str, object] | None = None,
    remeasure: bool = False,
    keep: str | None = None,
    listener: Listener = silent,
) -> Ended:
    """Go on with a run where it stopped; ``changes`` replace parts of its budget. A finished run has nothing to do.

    ``keep``: whose weights stay, as in RunConfig, in this session; None is as configured.

    ``remeasure``: on another device, where every finished network is measured first, so that latencies never mix.

    Raises RequestError, and changes nothing, where the data or the device are not those that the run was started with, or its
    configuration is not as ``expected`` (values by the names of RunConfig's fields; for data its source).
    """
    with RunStore.open(folder, write=True) as store:
        rename_profile(store)
        config = stored_config(store)
        _refuse_unexpected(config, expected or {})
        budget = config.budget.model_copy(update=dict(changes or {}))
        config = config.model_copy(update={"budget": budget, "keep": keep or config.keep})
        with closing(assemble(config, kept(store, remeasure=remeasure))) as context:
            refuse_other(context, store, remeasure=remeasure)
            with executor_for(context) as executor:
                _say_what_is_done(context, listener)
                if changes:
                    store.set_meta("budget", config.budget.model_dump())
                clock = Clock(search_budget(config.budget, config.final), store.meta("used_s", float))
                planned = store.find_meta("generations_planned", int)  # None: an older version
                child = ChildBudget(images=store.meta("images_per_child", int), generations=planned or PLANNED_GENERATIONS[0])
                return _search(context, store, executor, clock, child, listener, remeasure=remeasure)


def _say_what_is_done(context: RunContext, listener: Listener) -> DataCard:
    """The first lines of every search: what the data hold, and what becomes of each image."""
    augmentation = context.augmentation or default_augmentation(context.data)
    card = describe(context.data, augmentation, context.config.metric)
    card = dataclasses.replace(card, warnings=(*card.warnings, *_of_seen_images(context)))
    for line in card.lines():
        _log.info("%s", line)
    listener(Progress(phase="preparing", generation=0, message="\n".join(card.lines())))
    return card


def _of_seen_images(context: RunContext) -> tuple[str, ...]:
    """A warning where networks that have seen images are judged by some of them, for all that is known here."""
    seen = [start.name for start in context.starts if not start.is_new and start.seen != context.data.fingerprint]
    origin = context.data.origin
    if not seen or (origin is not None and origin.has_own_validation):
        return ()
    return (
        f"the validation images are split off the training images, which {' and '.join(seen)} may have been trained on: its "
        "validation error then looks too good, and so do its children's; give images that it has not seen with --validation PATH",
    )


def _training_in_words(context: RunContext, child: ChildBudget) -> str:
    """How briefly the search trains each network; nothing where it trains none."""
    if context.config.budget.generations == 0 and not context.initial and not any(start.is_new for start in context.starts):
        return ""
    passes = child.images / len(context.data.train)
    usual, now = context.augmentation_for(10**12), context.augmentation_for(child.images)
    without = "" if now == usual else "; without shifts, for so few passes"
    return f"Each network of the search is trained on {child.images:,} images ({passes:.1f} passes){without}."


def rename_profile(store: RunStore) -> None:
    """Hold what an older version measured under its hash of the run's profile under the present one, once."""
    former = store.find_meta(FORMER_PROFILE, str | None)
    if former is not None:
        store.rename_hash(former, store.meta("profile", HardwareProfile).sha256())
        store.set_meta(FORMER_PROFILE, None)


def kept(store: RunStore, *, remeasure: bool) -> ResumeState:
    """What the run was started with; another device brings its own profile."""
    trainer = store.meta("trainer", TrainerSettings)
    initial, starts = _own_initial(store), stored_starts(store)
    if remeasure:
        return ResumeState(trainer=trainer, initial=initial, starts=starts)
    profile, nominal_ms = store.meta("profile", HardwareProfile), store.meta("reference_nominal_ms", float | None)
    return ResumeState(profile=profile, trainer=trainer, reference_nominal_ms=nominal_ms, initial=initial, starts=starts)


def _own_initial(store: RunStore) -> tuple[Graph, ...]:
    """The networks that the run was started with besides the space's: they are asked for until there is a front."""
    texts = store.find_meta("initial", list[str])  # None: an older version did not keep them
    return tuple(from_json(text) for text in texts or ())


def _child_budget(context: RunContext, executor: Executor) -> ChildBudget:
    """How many images each child is trained on, chosen once for a run: as configured, by default, or from the time limit."""
    budget = search_budget(context.config.budget, context.config.final)
    limit_s = budget.time
    if budget.images_per_child is not None:
        return ChildBudget(images=budget.images_per_child)
    if limit_s is None:
        return ChildBudget(images=default_images(context.data))
    return images_in_time(
        limit_s,
        images_per_second(context, executor),
        accepted=context.strategy_settings.children,
        measures=context.device is not None,
        batch_size=context.trainer.batch_size,
        data=context.data,
        trained_share=context.rungs.trained_share if context.rungs.enabled else 1.0,
    )


def executor_for(context: RunContext) -> Executor:
    """Workers as the run's configuration says, not started yet."""
    config = context.config
    task_limit_s, memory_limit_mb = config.budget.child_time, config.budget.child_memory_mb
    if config.workers == 0:
        _refuse_what_needs_workers(config)
        return InlineExecutor()
    if config.executor == "local":
        return LocalExecutor(config.workers, context.data_settings, task_limit_s=task_limit_s, memory_limit_mb=memory_limit_mb)
    try:
        from hwnas.execution.ray import RayExecutor  # an extra: without it all else works
    except ModuleNotFoundError:
        raise ConfigError('the executor ray needs Ray: pip install "hwnas[ray]"') from None
    return RayExecutor(
        config.ray_address,
        workers=config.workers,
        threads=config.torch_threads,
        task_limit_s=task_limit_s,
        memory_limit_mb=memory_limit_mb,
    )


def _refuse_what_needs_workers(config: RunConfig) -> None:
    """Raise ConfigError where a run that trains in its own process asks for what only other processes can do."""
    budget = config.budget
    asked = {
        "executor ray": config.executor == "ray",
        "budget.child_time": budget.child_time is not None,
        "budget.child_memory_mb": budget.child_memory_mb is not None,
    }
    if refused := [name for name, is_asked in asked.items() if is_asked]:
        raise ConfigError(
            f"workers 0 trains in the process of the search, which cannot be had with {', '.join(refused)}; leave that out, or "
            "use one worker or more"
        )


def _search(
    context: RunContext,
    store: RunStore,
    executor: Executor,
    clock: Clock,
    child: ChildBudget,
    listener: Listener,
    *,
    remeasure: bool = False,
) -> Ended:
    store.add_event("started", {"hwnas_version": __version__})
    try:
        with Interrupt() as interrupt:
            reopened = measure_anew(context, store, meta=_device_meta(context), check=interrupt.check) if remeasure else 0
            session = Session(
                context=context,
                store=store,
                executor=executor,
                clock=clock,
                child=child,
                listener=listener,
                interrupt=interrupt,
            )
            session.report("preparing", message=_training_in_words(context, child))
            ended = (search_steadily if context.config.asynchronous else search_in_generations)(session)
            clock.stop()  # what follows has its own share of the time
            train_front(session, interrupt)
        executor.close()  # workers that were cut off would start again beside the last measurements
        front = stored_front(store, context.objectives)
        session.report("finishing", done=0, total=len(front))
        finish(
            context=context,
            store=store,
            latencies=session.latencies,
            front=front,
            deployment=session.deployment,
            report=lambda done: session.report("finishing", done=done),
        )
        session.collect()
        store.add_event("ended", {"reason": ended.reason, "front": list(front)})
    finally:
        store.set_meta("used_s", clock.used_s)
    session.report("done", message=ended.reason)
    return dataclasses.replace(ended, reopened=reopened)


def _meta(context: RunContext, child: ChildBudget, initial: Sequence[Graph]) -> dict[str, object]:
    return {
        "hwnas_version": __version__,
        "budget": context.config.budget.model_dump(),
        "images_per_child": child.images,
        "generations_planned": child.generations,
        "used_s": 0.0,
        "data_fingerprint": context.data.fingerprint,
        "data_name": context.data.name,
        "classes": list(context.data.classes),
        "test_sha256": context.data.test.sha256(),
        "mean": list(context.data.mean),
        "std": list(context.data.std),
        "shape": list(context.data.shape),
        "trainer": context.trainer.model_dump(),
        "initial": [to_json(graph) for graph in initial],
        "own_versions": context.own_versions,
        STARTS: as_facts(context.starts),
        "definitions": {objective.name: objective.version for objective in context.objectives},
        **_device_meta(context),
    }


def _device_meta(context: RunContext) -> dict[str, object]:
    device = context.device
    return {
        "profile": context.profile.model_dump(mode="json"),
        "errors_computed": errors_computed(context),
        "device_fingerprint": None if device is None else device.fingerprint().to_json(),
        "device_fingerprint_sha256": context.device_sha256,
        "reference_nominal_ms": None if device is None else device.reference_nominal_ms,
    }


def _refuse_unexpected(config: RunConfig, expected: Mapping[str, object]) -> None:
    """Raise RequestError where a run is not the one that is asked for."""
    for name, wanted in expected.items():
        stored = config.data.source if name == "data" else getattr(config, name)
        if stored != wanted:
            then, now = (",".join(each) if isinstance(each, tuple) else each for each in (stored, wanted))
            raise RequestError(f"this run has {name} {then}, not {now}; leave it out to go on with it, or start a new run")


def refuse_other(context: RunContext, store: RunStore, *, remeasure: bool) -> None:
    """Raise RequestError where the run was started on other data, another device or with an objective of another meaning, or
    cannot be measured again as asked."""
    meant = store.find_meta("definitions", dict[str, int]) or {}  # None: a version in which every name had its first meaning
    if changed := [objective.name for objective in context.objectives if meant.get(objective.name, 1) != objective.version]:
        raise RequestError(
            f"{', '.join(changed)} of this run's networks is not what this version of hwnas means by it, and the two do not "
            "compare; start a new run (this one can still be shown and exported), or go on with the version it was started with"
        )
    _refuse_other_versions(context, store)
    data, then = context.data.fingerprint, store.meta("data_fingerprint", str)
    if data != then:
        raise RequestError(f"this run's data had fingerprint {then}, now it is {data}; a run continues with its own data")
    if remeasure and context.device is None:
        raise RequestError("this run measures no latency, so there is nothing to measure again; resume it without --remeasure")
    if remeasure:
        refuse_collected(store)
    if context.device_sha256 != store.meta("device_fingerprint_sha256", str | None) and not remeasure:
        then, now = _both_devices(context, store)
        raise RequestError(
            f"this run's device was {then}; now it is {now}; go on with the same device, or measure every network again on this "
            "one: --remeasure"
        )


def _refuse_other_versions(context: RunContext, store: RunStore) -> None:
    """Raise RequestError where an objective, operator or strategy of the user's own is not of the version it was."""
    then = store.find_meta("own_versions", dict[str, int]) or {}  # None: an older version, in which there were none
    pairs = ((name, then.get(name), now) for name, now in context.own_versions.items())
    if others := [f"{name} (version {before}, now {now})" for name, before, now in pairs if before != now]:
        names = ", ".join(others)
        raise RequestError(f"this run was started with another version of {names}; bring that back, or start a new run")


def _both_devices(context: RunContext, store: RunStore) -> tuple[str, str]:
    """What the run's device was and is, in words where these tell them apart, else by hash."""
    then = store.meta("device_fingerprint", Fingerprint | None)
    if then is not None and context.device is not None:
        now = context.device.fingerprint()
        if then.sha256() != now.sha256():
            return then.beside(now), now.beside(then)
    return f"fingerprint {store.meta('device_fingerprint_sha256')}", f"fingerprint {context.device_sha256}"
