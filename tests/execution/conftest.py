import dataclasses
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
import torch

from hwnas.candidate import Candidate, Step, stream_seed
from hwnas.data import Augmentation, DataSettings, load
from hwnas.execution import EvaluationTask, Executor, InlineExecutor, LocalExecutor, pack
from hwnas.graph import to_json
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import transfer
from hwnas.spaces import initial_graphs
from hwnas.training import TrainerSettings

DATA = DataSettings()
TIME_LIMIT_S = 20.0  # the time a worker takes to start, on a busy machine, is not counted


def tiny_task(slot: int = 0, **changes: object) -> EvaluationTask:
    """Train a tiny network on digits for 20 steps."""
    graph = initial_graphs((1, 8, 8), 10)[0][1]
    step = Step(operator="initial", graph=graph, inheritance=from_scratch(graph))
    candidate = Candidate(generation=0, slot=slot, steps=(step,))
    state = transfer([(step.graph, step.inheritance)], {}, torch.Generator().manual_seed(slot))
    task = EvaluationTask(
        candidate_id=candidate.id,
        graph=to_json(graph),
        weights=pack(state),
        calibrated=(),
        teacher=None,
        data=DATA,
        data_fingerprint=load(DATA).fingerprint,
        trainer=TrainerSettings(),
        augmentation=Augmentation(),
        images=320,
        seed=stream_seed(0, candidate.id, "training"),
    )
    return dataclasses.replace(task, **changes)


def endless_task(slot: int = 0) -> EvaluationTask:
    return tiny_task(slot, images=10**9)


def local_workers() -> list[psutil.Process]:
    """The worker processes of this test process, the session's ``one_worker`` among them."""
    return [child for child in psutil.Process().children() if any("spawn_main" in word for word in words_of(child))]


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; none where it ended meanwhile, waited for or not yet."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def until(condition: Callable[[], object], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def inline_executor() -> Iterator[Executor]:
    with InlineExecutor() as executor:
        yield executor


@pytest.fixture(scope="session")
def one_worker() -> Iterator[Executor]:
    with LocalExecutor(1, DATA) as executor:
        yield executor


@pytest.fixture(scope="module")
def ray_executor() -> Iterator[Executor]:
    from hwnas.execution.ray import RayExecutor

    with RayExecutor("local", workers=1) as executor:
        yield executor
