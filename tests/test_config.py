"""A run's configuration comes back from the store as it went in."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.api.starting import configured
from hwnas.config import config_from_json, make_config, seconds
from hwnas.errors import ConfigError
from hwnas.search import LemonadeSettings
from hwnas.settings import DataSettings, Rungs

STORED_BEFORE = (
    '{"seed":1,"data":{"source":"digits","image_size":[8,8]},"augmentation":{},"trainer":{"batch_size":32},'
    '"lemonade":{"proposals":8,"accepted":2},"rungs":{}}'
)


@pytest.mark.parametrize(
    ("section", "known"),
    [
        ("data", "source, image_size"),
        ("augmentation", "crop_padding, flip"),
        ("trainer", "optimiser, learning_rate"),
        ("rungs", "enabled, shares"),
        ("budget", "time, generations"),
    ],
)
def test_an_unknown_key_of_a_section_is_an_error_that_names_the_known_ones(section: str, known: str) -> None:
    with pytest.raises(ConfigError, match=f"run.toml: unknown key {section}.acepted; known are {known}"):
        make_config({section: {"acepted": 3}}, "run.toml")


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("data", {"image_size": (0, 8)}, "data: the image size must be"),
        ("augmentation", {"cutout": -1}, "augmentation: crop_padding and cutout are pixels"),
        ("trainer", {"batch_size": 1}, "trainer.batch_size: Input should be"),
        ("lemonade", {"accepted": 65}, "strategy: lemonade needs"),
        ("lemonade", {"acepted": 3}, "strategy: unknown key acepted; known are proposals, accepted"),
        ("strategy", {"name": "lemonade", "acepted": 3}, "strategy: unknown key acepted; known are proposals, accepted"),
        ("lemonade", 3, "lemonade: Input should be a dictionary"),
        ("rungs", {"shares": ()}, "rungs: rungs are rising shares"),
    ],
)
def test_a_wrong_value_of_a_section_is_an_error_where_it_is_read_in(section: str, values: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_config({section: values})


def test_what_an_earlier_version_stored_is_read_as_it_was_meant() -> None:
    config = config_from_json(STORED_BEFORE)
    assert config.data == DataSettings(image_size=(8, 8))
    assert config.data_settings.seed == 1
    assert config.augmentation is None
    assert config.trainer.model_fields_set == {"batch_size"}
    assert config.strategy == LemonadeSettings(proposals=8, accepted=2)
    assert config.rungs == Rungs()


def test_what_was_not_said_of_the_trainer_is_still_open_when_it_is_read_again() -> None:
    config = make_config({"trainer": {"learning_rate": 0.1}, "data": {"seed": 7}, "seed": 3})
    again = config_from_json(config.model_dump_json())
    assert again == config == make_config(config.model_dump())
    assert again.trainer.model_fields_set == {"learning_rate"}
    assert again.data_settings.seed == 7


@given(st.floats(min_value=0, exclude_min=True, allow_nan=False))
def test_what_is_kept_is_what_was_asked_for_an_infinite_limit_too(maximum: float) -> None:
    config = make_config({"limits": {"parameters": maximum}, "budget": {"time": "90s"}})
    assert config_from_json(config.model_dump_json()) == config


def test_a_memory_without_end_is_said_by_leaving_it_out() -> None:
    with pytest.raises(ConfigError, match=r"budget\.child_memory_mb: .*finite"):
        make_config({"budget": {"child_memory_mb": math.inf}})


def test_a_configuration_that_is_given_again_leaves_open_what_was_left_open() -> None:
    """A default that is written down would be taken for the user's word: the share of the final training suits the data."""
    once = configured(None, time_budget="60s", workers=1)
    assert configured(once) == once
    assert configured(once).final.model_fields_set == set()


def test_a_duration_may_be_written_as_people_do() -> None:
    assert [seconds(text) for text in ("90", "90s", "90 sec", "5m", "5min", "1.5h", "2d")] == [90, 90, 90, 300, 300, 5400, 172800]
    for wrong in ("5minutes", "-5m", "m", "0s"):
        with pytest.raises(ConfigError, match="such as 30m"):
            seconds(wrong)


@pytest.mark.parametrize("text", ["0.0000001s", "0.00001", "99999999999999999999d", 1e-7, 8.64e24, 3])
def test_a_duration_that_was_read_is_read_again_unchanged(text: object) -> None:
    assert seconds(seconds(text)) == seconds(text)


@pytest.mark.parametrize("text", ["9" * 400, 10**400, "0", 0, -1.0, float("inf"), float("nan"), True, None, [1], b"3s"])
def test_what_is_no_duration_is_refused_as_it_was_said(text: object) -> None:
    with pytest.raises(ConfigError, match="a duration is a positive number"):
        seconds(text)


def test_one_number_is_both_sides_of_an_image() -> None:
    assert make_config({"data": {"image_size": 48}}).data.image_size == (48, 48)
    assert configured(image_size="48").data.image_size == configured(image_size=48).data.image_size == (48, 48)
    with pytest.raises(ConfigError, match=r"data\.image_size"):
        make_config({"data": {"image_size": "48"}})


@pytest.mark.parametrize("seed", [True, "1", 1.5, -1, None])
def test_a_seed_is_a_whole_number_and_nothing_that_looks_like_one(seed: object) -> None:
    with pytest.raises(ConfigError, match="seed"):
        make_config({"seed": seed})
