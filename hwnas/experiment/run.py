"""Starting and resuming a run."""

from pathlib import Path

import torch

from hwnas import __version__
from hwnas.config import RunConfig, settings_of
from hwnas.errors import RequestError, RunFolderError
from hwnas.execution import Executor, LocalExecutor
from hwnas.experiment.budget import Clock, default_images, images_in_time, time_limit_s
from hwnas.experiment.finish import finish
from hwnas.experiment.loop import Ended, SearchLoop
from hwnas.experiment.parts import Parts, assemble
from hwnas.experiment.progress import Listener, silent
from hwnas.experiment.tasks import images_per_second
from hwnas.store import RunStore


def start(config: RunConfig, folder: Path, *, listener: Listener = silent) -> Ended:
    """Search into a new run folder. Raises RequestError before anything is written where the request is wrong."""
    torch.set_num_threads(1)  # the workers train; here only the probe and the final evaluation run, beside measurements
    clock = Clock(config.budget)
    refuse_used(folder)
    parts = assemble(config)
    with _executor(parts) as executor:
        images = _images_per_child(parts, executor)
        with RunStore.create(folder, config=config.model_dump_json(), meta=_meta(parts, images)) as store:
            return _search(parts, store, executor, clock, images, listener)


def resume(folder: Path, *, changes: dict[str, object] | None = None, listener: Listener = silent) -> Ended:
    """Go on with a run where it stopped; ``changes`` replace parts of its budget. A finished run has nothing to do.

    Raises RequestError where the data or the device are not those that the run was started with.
    """
    torch.set_num_threads(1)
    with RunStore.open(folder, write=True) as store:
        config = stored_config(store)
        if changes:
            config = config.model_copy(update={"budget": config.budget.model_copy(update=changes)})
            store.set_meta("budget", config.budget.model_dump())
        parts = assemble(config, reference_nominal_ms=store.meta("reference_nominal_ms"))
        _refuse_other(parts, store)
        used = store.last_event("used")
        clock = Clock(config.budget, 0.0 if used is None else float(used.payload["used_s"]))
        with _executor(parts) as executor:
            return _search(parts, store, executor, clock, int(store.meta("images_per_child")), listener)


def stored_config(store: RunStore) -> RunConfig:
    """The run's configuration, with the budget that it was last resumed with."""
    config = RunConfig.model_validate_json(store.config)
    return config.model_copy(update={"budget": settings_of(type(config.budget), store.meta("budget"), "budget")})


def refuse_used(folder: Path) -> None:
    """Raise RunFolderError where a folder holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunFolderError(f"{folder} is not empty; to go on with a run: hwnas resume {folder}; or choose another --out")


def _images_per_child(parts: Parts, executor: Executor) -> int:
    """How many images each child is trained on, chosen once for a run: as configured, by default, or from the time limit."""
    budget, limit_s = parts.config.budget, time_limit_s(parts.config.budget)
    if budget.images_per_child is not None:
        return budget.images_per_child
    if limit_s is None:
        return default_images(parts.data)
    return images_in_time(
        limit_s,
        images_per_second(parts, executor),
        accepted=parts.lemonade.accepted,
        measures=parts.device is not None,
        batch_size=parts.trainer.batch_size,
        data=parts.data,
    )


def _executor(parts: Parts) -> Executor:
    return LocalExecutor(parts.config.workers, parts.data_settings, task_limit_s=parts.config.budget.child_time)


def _search(parts: Parts, store: RunStore, executor: Executor, clock: Clock, images: int, listener: Listener) -> Ended:
    loop = SearchLoop(parts=parts, store=store, executor=executor, clock=clock, images=images, listener=listener)
    try:
        ended = loop.run()
        loop.report("finishing", done=0, total=len(loop.front))
        finish(
            parts=parts,
            store=store,
            book=loop.book,
            front=loop.front,
            model=loop.model,
            report=lambda done: loop.report("finishing", done=done),
        )
        store.add_event("ended", {"reason": ended.reason, "front": list(loop.front)})
    finally:
        store.add_event("used", {"used_s": clock.used_s})
        if parts.device is not None:
            parts.device.close()
    loop.report("done", message=ended.reason)
    return ended


def _meta(parts: Parts, images: int) -> dict[str, object]:
    device = parts.device
    return {
        "hwnas_version": __version__,
        "budget": parts.config.budget.model_dump(),
        "images_per_child": images,
        "data_fingerprint": parts.data.fingerprint,
        "data_name": parts.data.name,
        "classes": list(parts.data.classes),
        "test_sha256": parts.data.test.sha256(),
        "mean": list(parts.data.mean),
        "std": list(parts.data.std),
        "shape": list(parts.data.shape),
        "trainer": parts.trainer.model_dump(),
        "profile": parts.profile.model_dump(mode="json"),
        "device_fingerprint": None if device is None else device.fingerprint().to_json(),
        "device_fingerprint_sha256": None if device is None else device.fingerprint().sha256(),
        "reference_nominal_ms": None if device is None else device.reference_nominal_ms,
    }


def _refuse_other(parts: Parts, store: RunStore) -> None:
    """Raise RequestError where the run was started on other data or another device."""
    device = None if parts.device is None else parts.device.fingerprint().sha256()
    for what, now, then in (
        ("data", parts.data.fingerprint, store.meta("data_fingerprint")),
        ("device", device, store.meta("device_fingerprint_sha256")),
    ):
        if now != then:
            raise RequestError(f"this run's {what} had fingerprint {then}, now it is {now}; a run goes on with its own {what}")
