"""A task in parts: what comes back is bit for bit that of the task in one go."""

import dataclasses

import numpy as np
import pytest
from torch import Generator

from hwnas.candidate import Candidate, Step
from hwnas.data import Augmentation
from hwnas.execution import EvaluationTask, Teacher, evaluate_task, pack, unpack
from hwnas.graph import from_json, to_json
from hwnas.morphism.insert import InsertConvolution
from hwnas.network import transfer
from tests.execution.conftest import tiny_task


def child_task() -> EvaluationTask:
    """A child with a new batch norm that is calibrated, taught by its parent."""
    parent = tiny_task()
    graph, operator = from_json(parent.graph), InsertConvolution()
    morphed = operator.apply(graph, operator.sites(graph)[0], np.random.default_rng(0))
    step = Step(operator=operator.name, graph=morphed.graph, inheritance=morphed.inheritance)
    candidate = Candidate(generation=1, slot=0, parents=("g0-0",), steps=(step,))
    state = transfer([(step.graph, step.inheritance)], unpack(parent.weights), Generator().manual_seed(0))
    assert candidate.calibrated
    return dataclasses.replace(
        parent,
        candidate_id=candidate.id,
        graph=to_json(morphed.graph),
        weights=pack(state),
        calibrated=candidate.calibrated,
        teacher=Teacher(graph=parent.graph, weights=parent.weights),
        augmentation=Augmentation(crop_padding=1),
    )


@pytest.mark.parametrize("make", [tiny_task, child_task])
@pytest.mark.parametrize("stops", [(16,), (64, 160), (96, 112, 304)])
def test_a_task_in_parts_gives_the_bits_of_the_whole(make, stops):
    whole, task = evaluate_task(make()), make()
    for until in stops:
        part = evaluate_task(dataclasses.replace(task, until=until))
        assert part.failure is None
        assert part.images == until
        assert part.evaluation.images == whole.evaluation.images
        task = dataclasses.replace(task, weights=part.weights, checkpoint=part.checkpoint)
    last = evaluate_task(task)
    assert (last.weights, last.evaluation, last.images) == (whole.weights, whole.evaluation, whole.images)
    assert last.checkpoint is None
    assert part.weights != last.weights


def test_a_checkpoint_that_is_none_is_a_failure_of_its_child():
    assert "safetensors" in evaluate_task(tiny_task(checkpoint=b"not a checkpoint")).failure.message
    weights = evaluate_task(tiny_task(checkpoint=tiny_task().weights))
    assert "expected the tensors of a checkpoint" in weights.failure.message
