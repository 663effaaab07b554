"""What an agent on another machine answers: read by one model an operation, or refused by the device's and the field's name.

A device is a stranger: whatever it sends is one of these models, all numbers finite and possible, or a DeviceError.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from hwnas.errors import WrongAnswerError

LONGEST_LINE = 16 << 20  # bytes; logits of 256 images of 10,000 classes take 14 MB
SHOWN = 60  # characters of a wrong value in a message
DTYPES = frozenset(f"<{kind}{size}" for kind in "fiu" for size in (2, 4, 8)) | {"|i1", "|u1", "|b1"}


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)


class _Array(_Answer):
    """An array as the agent's `encode` writes it."""

    array: str
    shape: list[Annotated[int, Field(ge=0)]] = Field(max_length=8)
    data: dict[Literal["base64"], str]

    def value(self) -> np.ndarray:
        if self.array not in DTYPES:
            raise ValueError(f"numbers of an unknown type {self.array!r:.{SHOWN}}")
        try:
            content = base64.b64decode(self.data["base64"], validate=True)
        except (KeyError, binascii.Error) as error:
            raise ValueError(f"no base64 ({error})") from None
        dtype = np.dtype(self.array)
        if len(content) != math.prod(self.shape) * dtype.itemsize:
            raise ValueError(f"{len(content)} bytes are not {self.shape} numbers of {dtype.itemsize} bytes")
        return np.frombuffer(content, dtype).reshape(self.shape)


def _array(value: object) -> object:
    return _Array.model_validate(value).value() if isinstance(value, dict) else value


def _milliseconds(value: np.ndarray) -> np.ndarray:
    if value.ndim != 1 or not len(value) or value.dtype.kind != "f" or not (np.isfinite(value) & (value > 0)).all():
        raise ValueError("expected a list of positive times")
    if value.max() > LONGEST_MS:
        raise ValueError("a time of more than a week")
    return value


LONGEST_MS = 7 * 24 * 3600 * 1e3
Array: TypeAlias = Annotated[np.ndarray, BeforeValidator(_array)]
Milliseconds: TypeAlias = Annotated[np.ndarray, BeforeValidator(_array), AfterValidator(_milliseconds)]
Positive: TypeAlias = Annotated[float, Field(gt=0, le=LONGEST_MS)]
Duration: TypeAlias = Annotated[float, Field(ge=0, le=LONGEST_MS)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=10**12)]
Text: TypeAlias = Annotated[str, Field(max_length=1 << 16)]
Word: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
CpuTimes: TypeAlias = Annotated[
    list[Annotated[list[Annotated[float, Field(ge=0, le=1e12)]], Field(min_length=3, max_length=3)] | None],
    Field(min_length=2, max_length=2),
]


class Facts(_Answer):
    """What a machine says about itself."""

    cpuinfo: Text
    board: Text
    governor: Text
    processor: Text
    architecture: Word
    cores: Annotated[int, Field(ge=1, le=1 << 16)]
    memory_kb: Annotated[int, Field(ge=1, le=1 << 40)] | None
    system: Word
    boot_id: Text
    python: Word
    onnxruntime: Word
    providers: list[Word] = Field(max_length=100)


class Configured(_Answer):
    """Of `configure`."""

    facts: Facts
    reference_ms: Milliseconds


class Measured(_Answer):
    """Of `measure`."""

    blocks_ms: Milliseconds
    reference_ms: Milliseconds
    percentiles_ms: Milliseconds
    raw_ms: Positive
    waiting: Annotated[float, Field(ge=-1, le=1)]  # the two clocks differ: a little below 0 where nothing was waited for
    samples: Count
    runs_per_sample: Count
    elapsed_s: Duration
    load_ms: Duration
    peak_memory_kb: Annotated[int, Field(ge=0, le=1 << 40)] | None
    cpu_times: CpuTimes

    @model_validator(mode="after")
    def _fits(self) -> "Measured":
        blocks, references, samples = len(self.blocks_ms), len(self.reference_ms), self.samples
        if references != blocks + 1 or blocks < 2 or samples < blocks:
            raise ValueError(f"blocks_ms, reference_ms and samples do not fit together: {blocks}, {references}, {samples}")
        if self.percentiles_ms.shape != (3,) or (np.diff(self.percentiles_ms) < 0).any():
            raise ValueError("percentiles_ms are the percentiles 50, 90 and 99, which rise")
        return self


class Predicted(_Answer):
    """Of `predict`."""

    output: Array


class NoiseSeen(_Answer):
    """Of `noise`."""

    reference_ms: Milliseconds
    cpu_times: CpuTimes


class Failed(_Answer):
    """What the agent could not do, of any operation."""

    error: Literal["model", "device", "request"]
    message: Annotated[str, Field(max_length=1 << 16)]


ANSWERS: Mapping[str, type[_Answer]] = {"configure": Configured, "measure": Measured, "predict": Predicted, "noise": NoiseSeen}


def parsed(line: bytes, device: str) -> object:
    """The JSON of a line. Raises WrongAnswerError where it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WrongAnswerError(f"{device}: answered what is no JSON ({str(error)[:SHOWN]}); {_ADVICE}") from None


def checked(op: str, answer: object, device: str) -> "Failed | Mapping[str, Any]":
    """The answer to a request by the names of its fields, or what the agent could not do.

    Raises WrongAnswerError, which names the device and the field, where it is neither.
    """
    if not isinstance(answer, dict) or set(answer) not in ({"ok"}, {"error", "message"}):
        raise WrongAnswerError(f"{device}: answered {op!r} with neither a result nor an error; {_ADVICE}")
    try:
        if "ok" not in answer:
            return Failed.model_validate(answer)
        found = ANSWERS[op].model_validate(answer["ok"])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the answer"
        got = f"{first['input']!r:.{SHOWN}}"
        raise WrongAnswerError(f"{device}: answered {op!r} with a wrong {field}: {first['msg']}, got {got}; {_ADVICE}") from None
    except RecursionError:
        raise WrongAnswerError(f"{device}: answered {op!r} with what is nested too deeply; {_ADVICE}") from None
    return {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in found}


_ADVICE = "is it the machine that the profile means, and its Python as it should be?"
