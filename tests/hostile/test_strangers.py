"""What comes from elsewhere reads no file that is not its own and runs nothing: tables, bundles, profiles."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from hwnas.data import DataSettings, load
from hwnas.device.channel import Channel, own_config
from hwnas.device.profile import Ssh
from hwnas.errors import DataError, DeviceError
from hwnas.models.exporting import _data_settings_from
from tests.data.samples import noise, write_parquet

LABELS = [0, 1, 2] * 20


def private_picture(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "secret.png").write_bytes(noise(1)[0]["bytes"])
    return folder / "secret.png"


def linked(tmp_path: Path, secret: Path) -> str:
    (tmp_path / "set" / "link.png").symlink_to(secret)
    return "link.png"


def linked_folder(tmp_path: Path, secret: Path) -> str:
    (tmp_path / "set" / "below").symlink_to(secret.parent)
    return "below/secret.png"


@pytest.mark.parametrize("shape", ["plain", "struct"])
@pytest.mark.parametrize(
    "named",
    [
        lambda tmp_path, secret: str(secret),
        lambda tmp_path, secret: "../private/secret.png",
        lambda tmp_path, secret: f"{tmp_path}/set/../private/secret.png",
        lambda tmp_path, secret: f"//{secret}",
        linked,
        linked_folder,
    ],
    ids=["absolute", "above", "through its own folder", "two slashes", "link", "folder that is a link"],
)
def test_a_row_names_no_picture_outside_its_table_s_folder(
    named: Callable[[Path, Path], str], shape: str, tmp_path: Path
) -> None:
    secret = private_picture(tmp_path)
    (tmp_path / "set").mkdir()
    path = named(tmp_path, secret)
    rows: list[Any] = noise(60) if shape == "struct" else [f"{number}.png" for number in range(60)]
    for number, row in enumerate(noise(60)):
        (tmp_path / "set" / f"{number}.png").write_bytes(row["bytes"])
    rows[0] = {"bytes": None, "path": path} if shape == "struct" else path
    write_parquet(tmp_path / "set" / "train.parquet", rows, LABELS)
    with pytest.raises(DataError, match=r"row 0 .* names a file outside .*/set, where the table lies"):
        load(DataSettings(source=str(tmp_path / "set"), cache_folder=tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_a_link_within_the_table_s_folder_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(noise(1)[0]["bytes"])
    (tmp_path / "link.png").symlink_to("real.png")
    source = write_parquet(tmp_path / "train.parquet", ["link.png", "real.png"] * 30, [0, 1] * 30)
    assert len(load(DataSettings(source=str(source), cache_folder=tmp_path / "cache")).train) > 0


def test_a_bundle_lifts_no_limit() -> None:
    stated = {"data_settings": '{"max_pixels": 1000000000000000000}', "test_sha256": ""}
    assert _data_settings_from(stated, "digits").max_pixels == DataSettings().max_pixels


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def ssh_config(path: Path, proof: Path) -> Path:
    path.write_text(f"Host *\n  ProxyCommand {shutil.which('touch')} {proof}\n")
    return path


def reach(**connection: object) -> None:
    given = {"type": "ssh", "host": "127.0.0.1", "connect_timeout_s": 2.0} | connection
    asyncio.run(Channel(Ssh.model_validate(given)).open())


@pytest.mark.parametrize("place", ["beside", "above", "home"])
def test_a_profile_s_own_ssh_configuration_runs_nothing(place: str, home: Path, tmp_path: Path) -> None:
    folder = home if place == "home" else tmp_path
    config = ssh_config(folder / "config", tmp_path / "PWNED")
    given = f"~/.ssh/../../{config.name}" if place == "above" else str(config)
    with pytest.raises(DeviceError, match=r"config_file is .* can run commands here,.* if you trust this one, put it there"):
        reach(config_file=given)
    assert not (tmp_path / "PWNED").exists()


def test_the_user_s_own_ssh_configuration_counts(home: Path, tmp_path: Path) -> None:
    ssh_config(home / ".ssh" / "lab", tmp_path / "RAN")
    assert own_config("~/.ssh/lab") == str(home / ".ssh" / "lab")
    with pytest.raises((DeviceError, asyncssh.Error)):  # touch is no proxy
        reach(config_file="~/.ssh/lab")
    assert (tmp_path / "RAN").exists()


@pytest.mark.parametrize("field", ["host", "user"])
@pytest.mark.parametrize(
    "name", ["$(touch x)", "`touch x`", "a;touch x", "a|b", "a b", "a\nb", "-oProxyCommand=touch", "a'b", "a&b"]
)
def test_a_name_is_one_plain_word(field: str, name: str, home: Path) -> None:
    with pytest.raises(DeviceError, match=rf"connection\.{field} is .*; expected a name of letters"):
        reach(**{field: name})
