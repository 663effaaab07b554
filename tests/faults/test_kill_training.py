"""A few of the moments that tests/faults/kill_training.py tries by the dozen."""

import random
import shutil

import pytest

from tests.faults.kill_training import finished, killed, search

EPOCHS = 30


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "run"
    search(folder)
    return folder


@pytest.mark.slow
def test_a_killed_training_gone_on_with_equals_the_uninterrupted_one(searched, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    shutil.copytree(searched, whole)
    shutil.copytree(searched, cut)
    after_s = random.Random().uniform(3, 7)  # anywhere: a moment that fails is worth knowing, and it is in the message
    killed(cut, after_s, EPOCHS)
    assert finished(cut, EPOCHS) == finished(whole, EPOCHS), f"killed after {after_s:.3f} s"
