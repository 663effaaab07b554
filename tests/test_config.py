"""A run's configuration comes back from the store as it went in."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.config import config_from_json, make_config
from hwnas.errors import ConfigError


@given(st.floats(min_value=0, exclude_min=True, allow_nan=False))
def test_what_is_kept_is_what_was_asked_for_an_infinite_limit_too(maximum: float) -> None:
    config = make_config({"limits": {"parameters": maximum}, "budget": {"time": "90s"}})
    assert config_from_json(config.model_dump_json()) == config


def test_a_memory_without_end_is_said_by_leaving_it_out() -> None:
    with pytest.raises(ConfigError, match=r"budget\.child_memory_mb: .*finite"):
        make_config({"budget": {"child_memory_mb": math.inf}})
