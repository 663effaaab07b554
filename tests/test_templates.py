"""Files to begin with: every key is there, and what they say is true."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from hwnas.api import default_config, new_profile
from hwnas.api.templates import SECTIONS
from hwnas.config import RunConfig, make_config
from hwnas.device import load_profile
from hwnas.errors import ProfileError
from tests.cli.test_cli import invoke, refused


def uncommented(text: str) -> str:
    """The template with every key that shows a value brought to life."""
    return re.sub(r"^# (\w+ = (?!\s*# not set).*)$", r"\1", text, flags=re.M)


def test_a_default_configuration_changes_nothing() -> None:
    assert make_config(tomllib.loads(default_config())) == make_config({})


def test_every_key_shows_its_default() -> None:
    tables = tomllib.loads(uncommented(default_config()))
    made = make_config(tables)
    plain = RunConfig().model_dump() | {"augmentation": made.model_dump()["augmentation"]}
    trainer = made.model_dump().pop("trainer")
    assert made.model_dump() | {"trainer": None} == plain | {"trainer": None}
    assert trainer == RunConfig().trainer.model_dump()
    assert made.augmentation == SECTIONS["augmentation"]()


def test_every_part_of_a_configuration_is_there() -> None:
    for name, field in RunConfig.model_fields.items():
        has_keys = isinstance(field.default, BaseModel) or dataclasses.is_dataclass(field.default)
        assert (f"\n[{name}]" if has_keys else f"\n# {name} =") in default_config() or name in ("limits", "augmentation"), name


@pytest.mark.parametrize("section", ["", *SECTIONS])
def test_no_key_is_missing(section: str) -> None:
    text = default_config()
    part = text.split("\n[budget]")[0] if not section else text.split(f"\n[{section}]")[1].split("\n[")[0]
    kind = SECTIONS.get(section, RunConfig)
    fields = kind.model_fields if hasattr(kind, "model_fields") else [field.name for field in dataclasses.fields(kind)]
    for name in fields:
        assert f"\n# {name} =" in part or f"\n[{name}]" in text, name


def test_a_new_profile_is_complete_but_for_what_is_to_be_filled_in(tmp_path: Path) -> None:
    for kind in ("ssh", "local"):
        (tmp_path / f"{kind}.toml").write_text(new_profile(kind))
        profile = load_profile(str(tmp_path / f"{kind}.toml"))
        assert (profile.kind, profile.connection.type) == ("onnxruntime", kind)
        every = re.sub(r"^# (\[\w+\]|\w+ = )", r"\1", new_profile(kind), flags=re.M)
        (tmp_path / "all.toml").write_text(every)
        assert load_profile(str(tmp_path / "all.toml")).limits.max_latency_ms == 5.0
        assert "FILL IN" in new_profile(kind)
    with pytest.raises(ProfileError, match="ssh or local, got 'telnet'"):
        new_profile("telnet")


def test_the_commands_print_them() -> None:
    assert invoke("config", "--default").stdout == default_config()
    assert invoke("devices", "--new", "ssh").stdout == new_profile("ssh")
    refused(invoke("config"), 2, "hwnas config --default")
    refused(invoke("devices", "--new", "telnet"), 2, "ssh or local")
    assert "hwnas devices --new ssh" in invoke("devices").stderr
