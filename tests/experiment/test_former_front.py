"""A search that begins with the front of an earlier run: its weights, and nothing that was measured."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hwnas.api import configured
from hwnas.api import start as start_run
from hwnas.data import DataSet, DataSettings, Split, load
from hwnas.errors import RequestError, RunFolderError
from hwnas.experiment import resume, start
from hwnas.experiment.former_front import former_front
from hwnas.store import RunStore
from tests.experiment.conftest import TINY, front, rows, told

pytestmark = pytest.mark.usefixtures("in_this_process")


def started(former: Path, folder: Path, **options):
    config = configured({**TINY, "from_networks": 4}, from_run=former, **options)
    start(config, folder)
    return folder


def fact(folder: Path, name: str):
    with RunStore.open(folder, write=False) as store:
        return store.meta(name)


def few_classes(data: DataSet, classes: int = 8, size: int = 8) -> DataSet:
    def part(split: Split) -> Split:
        kept = split.rows(torch.nonzero(split.labels < classes).flatten())
        wider = torch.nn.functional.pad(kept.images, (0, size - 8, 0, size - 8))
        return Split(images=wider, labels=kept.labels)

    splits = [part(split) for split in (data.train, data.validation, data.test)]
    return DataSet.of("few", tuple("abcdefghij"[:classes]), *splits)


def test_a_new_run_begins_with_what_the_earlier_one_found(first_run, tmp_path):
    former = first_run[0]
    run = started(former, tmp_path / "run", seed=5)
    first = [row for row in rows(run) if row.generation == 0]
    before = {row.architecture_id: row for row in rows(former)}
    assert len(first) == 4
    assert {row.operator for row in first} == {"start"}
    for row in first:
        assert row.values["error"] == before[row.architecture_id].values["error"]
        assert row.outcome.weights == before[row.architecture_id].outcome.weights
        assert row.values["images"] == 0
    assert before[first[0].architecture_id].id == front(former)[0]
    assert any(row.generation == 1 and row.outcome.status == "finished" for row in rows(run))
    assert fact(run, "starts")[0]["name"] == f"{former}: {front(former)[0]}"
    assert fact(run, "data_fingerprint") == fact(former, "data_fingerprint")


def test_it_continues_though_the_earlier_run_is_gone(first_run, tmp_path):
    former = shutil.copytree(first_run[0], tmp_path / "former")
    run = started(former, tmp_path / "run")
    whole = shutil.copytree(run, tmp_path / "whole")
    shutil.rmtree(former)
    for folder in (run, whole):
        resume(folder, changes={"generations": 2})
    assert told(run) == told(whole)
    assert any(row.generation == 2 for row in rows(run))


def test_where_classes_differ_heads_are_new_and_what_they_have_seen_is_kept(first_run):
    data = load(DataSettings(seed=0))
    same, fewer = former_front(first_run[0], 4, data), former_front(first_run[0], 4, few_classes(data))
    assert [start.is_new for start in same.starts] == [False] * 4
    assert {start.seen for start in same.starts} == {data.fingerprint}
    assert [start.is_new for start in fewer.starts] == [True] * 4
    assert {start.graph.classes for start in fewer.starts} == {8}
    renamed = replace(data, classes=tuple("abcdefghij"))  # as many, but of another meaning
    assert all(start.is_new for start in former_front(first_run[0], 4, renamed).starts)


def test_images_of_another_size_leave_out_what_cannot_take_them(first_run):
    data = load(DataSettings(seed=0))
    wider = former_front(first_run[0], 100, few_classes(data, classes=10, size=12))
    shapes = {start.graph.shapes[start.graph.input.id] for start in wider.starts}
    assert shapes == {(1, 12, 12)}
    assert 0 < len(wider.starts) <= len(former_front(first_run[0], 100, data).starts)


def test_what_cannot_begin_a_run_is_refused_and_nothing_is_written(first_run, tmp_path):
    data = load(DataSettings(seed=0))
    out = tmp_path / "run"
    with pytest.raises(RunFolderError, match="is not the folder of a run"):
        start_run(out, from_run=tmp_path)
    emptied = shutil.copytree(first_run[0], tmp_path / "emptied")
    with RunStore.open(emptied, write=True) as store:
        store.collect(set())
    with pytest.raises(RequestError, match=r"the weights of the front of .* were deleted"):
        start_run(out, from_run=emptied)
    with RunStore.create(tmp_path / "nothing", config="{}", meta={}) as store:
        store.set_meta("budget", {})
        for name in ("classes", "mean", "std"):
            store.set_meta(name, [])
    with pytest.raises(RequestError, match="has no front to begin with"):
        former_front(tmp_path / "nothing", 4, data)
    coloured = replace(
        few_classes(data, classes=10),
        **{
            name: Split(images=split.images.expand(-1, 3, -1, -1).contiguous(), labels=split.labels)
            for name, split in (("train", data.train), ("validation", data.validation), ("test", data.test))
        },
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )
    with pytest.raises(RequestError, match="take images of 1 channels, the data have 3"):
        former_front(first_run[0], 4, coloured)
    assert not out.exists()


def test_nobody_is_warned_of_images_that_were_not_seen(first_run, tmp_path):
    run = started(first_run[0], tmp_path / "run")
    assert not any("may have been trained on" in warning for warning in fact(run, "data_card")["warnings"])
