"""Hardware profiles: what a device is, how to reach it, and how models run and are measured on it."""

import hashlib
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hwnas.errors import ProfileError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(gt=0)]
HalfWidth = Annotated[float, Field(gt=0, lt=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Local(_Table):
    """This machine, in this process."""

    type: Literal["local"] = "local"


class Ssh(_Table):
    """A device reached over SSH; what is not given comes from the user's own ssh config and agent."""

    type: Literal["ssh"]
    host: str = Field(min_length=1)
    port: Annotated[int, Field(gt=0, lt=65536)] | None = None
    user: str | None = None
    python: str = Field(default="python3", min_length=1, description="the interpreter that has numpy and onnxruntime")
    identity_file: str | None = None
    known_hosts: str | None = None
    config_file: str | None = None
    connect_timeout_s: Positive = 10.0
    answer_timeout_s: Positive = Field(default=60.0, description="beyond what the request itself may take")
    reconnect_limit_s: Annotated[float, Field(ge=0)] = 60.0


class Provider(_Table):
    """An ONNX Runtime execution provider and its options."""

    name: str = Field(min_length=1)
    options: dict[str, str] = {}


class Runtime(_Table):
    """How ONNX Runtime runs a model: providers in order of preference, threads within an operator."""

    providers: tuple[Provider, ...] = Field(min_length=1)
    threads: Annotated[int, Field(ge=0)] = Field(description="threads within an operator; 0 means one per core")
    spinning: bool = Field(default=True, description="whether idle threads of a run spin; no effect with one thread")
    cpu_fallback: bool = Field(default=True, description="whether nodes that no provider takes may run on the CPU")
    optimise: bool = Field(default=True, description="graph optimisations")


class Measurement(_Table):
    """Half-widths of the 95 % interval relative to the value, and the time one measurement may take."""

    half_width: HalfWidth = 0.02
    search_half_width: HalfWidth = 0.05
    time_limit_s: Positive = 10.0
    search_time_limit_s: Positive = 1.0


class Limits(_Table):
    """What a network may cost on this device; None means no limit."""

    max_latency_ms: Positive | None = None
    max_parameters: PositiveInt | None = None
    max_macs: PositiveInt | None = None
    max_memory_kb: Positive | None = None


class Nominal(_Table):
    """One number about the device, with where it comes from."""

    value: Positive
    unit: str = Field(min_length=1)
    source: str = Field(min_length=1)
    basis: Literal["measured", "stated"]


class HardwareProfile(_Table):
    """A device as its TOML file describes it; `sha256` identifies the description."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    kind: Literal["onnxruntime", "analytic"]
    connection: Annotated[Local | Ssh, Field(discriminator="type")] = Local()
    runtime: Runtime | None = None
    precision: Literal["float32", "float16", "int8"] = "float32"
    opset: Annotated[int, Field(ge=13)] = 17
    ir_version: Annotated[int, Field(ge=7)] = 8
    measurement: Measurement = Measurement()
    limits: Limits = Limits()
    nominal: dict[str, Nominal] = {}

    @model_validator(mode="after")
    def _runs_as_its_kind(self) -> "HardwareProfile":
        if self.kind == "onnxruntime" and self.runtime is None:
            raise ValueError("a profile of kind 'onnxruntime' needs a [runtime] table with providers and threads")
        return self

    def sha256(self) -> str:
        """Hash of the fields that differ from their defaults, by name.

        So a comment, a default that is written out, and a field that a later version adds change nothing; a default, once
        released, stays as it is.
        """
        said = self.model_dump(mode="json", exclude_defaults=True)
        return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def number(self, name: str, unit: str) -> float:
        """A nominal number in the unit that the caller computes with; ProfileError if it is missing or has another unit."""
        if name not in self.nominal:
            raise ProfileError(f"profile {self.name!r} has no [nominal.{name}]; add it, with unit = {unit!r}")
        nominal = self.nominal[name]
        if nominal.unit != unit:
            raise ProfileError(f"profile {self.name!r}: [nominal.{name}] is in {nominal.unit!r}; give it in {unit!r}")
        return nominal.value


def profiles_folder() -> Path:
    """Where the profiles lie that come with hwnas."""
    packaged = Path(str(resources.files("hwnas"))) / "hardware_profiles"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "hardware_profiles"


def profile_names() -> list[str]:
    """Names of the profiles that come with hwnas, sorted."""
    return sorted(path.stem for path in profiles_folder().glob("*.toml"))


def load_profile(name_or_path: str) -> HardwareProfile:
    """The profile of that name, or in that TOML file.

    Raises:
        ProfileError: no such profile (the message lists those there are), or a field is missing, unknown or wrong.
    """
    given = Path(name_or_path)
    is_path = given.suffix == ".toml" or given.name != name_or_path
    path = given if is_path else profiles_folder() / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(profile_names())
        if (here := Path(f"{name_or_path}.toml")).is_file():
            raise ProfileError(f"no hardware profile {name_or_path!r} comes with hwnas; the file here is given as {here}")
        raise ProfileError(f"no hardware profile {name_or_path!r}; give the path of a TOML file, or one of: {known}")
    try:
        return HardwareProfile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: expected TOML: {error}") from error
    except ValidationError as error:
        wrong: list[dict[str, Any]] = [dict(part) for part in error.errors()]
        inner = [part["loc"] for part in wrong if part["type"] != "too_short"]  # a list short of what is wrong in it is no news
        said = [p for p in wrong if p["type"] != "too_short" or not any(loc[: len(p["loc"])] == p["loc"] for loc in inner)]
        raise ProfileError(f"{path}: " + "; ".join(map(_complaint, said))) from error
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error


def _complaint(part: dict[str, object]) -> str:
    keys = [str(key) for key in part["loc"]] if isinstance(part["loc"], tuple) else []
    if keys[:1] == ["connection"]:
        del keys[1:2]  # pydantic's name of the kind of connection, which the file does not have
    where = ".".join(keys)
    if part["type"] in ("union_tag_invalid", "union_tag_not_found"):
        got = part["input"].get("type") if isinstance(part["input"], dict) else part["input"]
        return f"field {where}.type must be 'local' or 'ssh' (got {got!r})"
    if part["type"] == "missing":
        return f"field {where} is missing"
    if part["type"] == "extra_forbidden":
        return f"field {where} is unknown; check its spelling"
    got = "" if not where else f" (got {part['input']!r})"
    return f"{where}: {part['msg']}{got}".removeprefix(": ")
