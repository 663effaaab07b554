"""A few of the moments that tests/faults/kill_and_resume.py tries by the dozen."""

import random

import pytest

from tests.faults.kill_and_resume import finished, interrupted


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("group", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["whole group", "main process alone"])
def test_a_killed_run_resumed_equals_the_uninterrupted_one(whole, tmp_path, group):
    after_s = random.Random().uniform(4, 12)  # anywhere: a moment that fails is worth knowing, and it is in the message
    assert interrupted(tmp_path / "run", after_s, group=group) == whole, f"killed after {after_s:.3f} s"


@pytest.mark.slow
def test_a_killed_run_that_stops_children_early_decides_as_the_uninterrupted_one(tmp_path):
    whole, after_s = finished(tmp_path / "whole", rungs=True), random.Random().uniform(4, 12)
    assert interrupted(tmp_path / "run", after_s, group=True, rungs=True) == whole, f"killed after {after_s:.3f} s"


def test_a_folder_in_which_a_run_was_only_being_made_is_a_new_run(whole, tmp_path):
    folder = tmp_path / "run"
    (folder / "weights").mkdir(parents=True)
    (folder / "run.lock").touch()
    (folder / "new.sqlite").write_bytes(b"half")
    assert finished(folder) == whole
