"""Whatever a device answers is its agent's answer or one DeviceError that names the device and the field."""

import copy
import io
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.device import agent
from hwnas.device.answers import ANSWERS, Failed, checked, parsed
from hwnas.device.fingerprint import Fingerprint
from hwnas.device.latency import Latency, Noise
from hwnas.device.model import input_specs, random_feeds
from hwnas.device.reference import reference_model
from hwnas.errors import DeviceError, WrongAnswerError

RUNTIME = {
    "providers": [{"name": "CPUExecutionProvider", "options": {}}], "threads": 1, "spinning": True, "cpu_fallback": True,
    "optimise": True,
}  # fmt: skip


def _true_answers() -> dict[str, Any]:
    model = reference_model()
    feeds = random_feeds(input_specs(model))
    requests: list[dict[str, object]] = [
        {"op": "configure", "runtime": RUNTIME, "model": model, "feeds": feeds},
        {"op": "measure", "model": model, "feeds": feeds, "half_width": 0.5, "time_limit_s": 0.05},
        {"op": "predict", "model": model, "feeds": feeds},
        {"op": "noise", "duration_s": 0.01},
    ]
    said = io.StringIO()
    agent.serve(io.StringIO("".join(json.dumps(each, default=agent.encode) + "\n" for each in requests)), said)
    return {str(each["op"]): json.loads(line)["ok"] for each, line in zip(requests, said.getvalue().splitlines(), strict=True)}


TRUE = _true_answers()


def use(op: str, answer: object) -> None:
    """What the other side does with an answer, from its line."""
    found = checked(op, parsed(json.dumps(answer).encode(), "pi"), "pi")
    if isinstance(found, Failed):
        return
    if op == "configure":
        fingerprint = Fingerprint.from_facts(found["facts"])
        assert math.isfinite(float(np.min(found["reference_ms"])))
        json.dumps([fingerprint.to_json(), fingerprint.in_words(), fingerprint.sha256()], allow_nan=False)
    elif op == "measure":
        latency = Latency.from_blocks(found, nominal_ms=0.5, fingerprint_sha256="f", profile_sha256="p")
        json.dumps(latency.to_json(), allow_nan=False)
        assert all(value >= -1 for value in latency.to_json().values() if isinstance(value, float))
    elif op == "noise":
        Noise.from_blocks(found)
    else:
        assert isinstance(found["output"], np.ndarray)


@pytest.mark.parametrize("op", ANSWERS)
def test_the_true_answer_is_taken(op: str) -> None:
    use(op, {"ok": TRUE[op]})
    found = checked(op, {"ok": TRUE[op]}, "pi")
    assert isinstance(found, dict)
    assert set(found) == set(TRUE[op])


WRONG: dict[str, object] = {
    "null": None, "text": "many", "a list": [1, "x"], "an object": {"a": 1}, "yes": True, "NaN": math.nan, "inf": math.inf,
    "negative": -5, "a fraction": -1.5, "huge": 10**400, "no array": {"array": "<f8", "shape": [1], "data": {}},
    "objects": {"array": "|O", "shape": [1], "data": {"base64": "AAAAAAAAAAA="}},
    "shape": {"array": "<f8", "shape": [2**62, 2**62], "data": {"base64": ""}},
    "bytes": {"array": "<f8", "shape": [3], "data": {"base64": "AAAA"}},
    "base64": {"array": "<f8", "shape": [1], "data": {"base64": "?"}},
    "complex": {"array": "<c16", "shape": [0], "data": {"base64": ""}},
    "type": {"array": "f8,i4", "shape": [0], "data": {"base64": ""}},
    "NaN in it": {"array": "<f8", "shape": [1], "data": agent.encode(np.asarray([math.nan]).tobytes())},
    "negative in it": {"array": "<f8", "shape": [1], "data": agent.encode(np.asarray([-1.0]).tobytes())},
    "empty": {"array": "<f8", "shape": [0], "data": {"base64": ""}},
    "bare bytes": {"base64": "AAAA"},
}  # fmt: skip
MAY_BE = {  # no answer would be wrong for being these
    "null": {"memory_kb", "peak_memory_kb"}, "text": {"cpuinfo", "board", "governor", "processor", "architecture", "system",
    "boot_id", "python", "onnxruntime"}, "empty": {"output"}, "NaN in it": {"output"}, "negative in it": {"output"},
}  # fmt: skip


def places(answer: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in answer.items():
        yield (*before, name)
        if isinstance(value, dict) and "array" not in value:
            yield from places(value, (*before, name))


def changed(answer: Any, place: tuple[str, ...], value: object) -> Any:
    made = copy.deepcopy(answer)
    inner = made
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return made


@pytest.mark.parametrize(("op", "place"), [(op, place) for op in ANSWERS for place in places(TRUE[op])], ids=str)
def test_a_wrong_field_is_named(op: str, place: tuple[str, ...]) -> None:
    for name, value in WRONG.items():
        answer = {"ok": changed(TRUE[op], place, value)}
        if place[-1] in MAY_BE.get(name, ()):
            use(op, answer)
            continue
        with pytest.raises(WrongAnswerError, match=r"^pi: answered") as caught:
            use(op, answer)
        assert place[0] in str(caught.value), (name, str(caught.value))
        assert len(str(caught.value)) < 600
    missing = copy.deepcopy(TRUE[op])
    inner = missing
    for each in place[:-1]:
        inner = inner[each]
    del inner[place[-1]]
    with pytest.raises(WrongAnswerError, match=place[-1]):
        use(op, {"ok": missing})


@pytest.mark.parametrize("op", ANSWERS)
@pytest.mark.parametrize(
    "answer",
    [
        None, [], 7, "ok", {}, {"ok": None}, {"ok": []}, {"ok": {}}, {"ok": {}, "error": "model"}, {"error": "model"},
        {"error": "model", "message": 7}, {"error": [], "message": ""}, {"error": "great", "message": ""},
        {"error": "model", "message": "x" * 100_000}, {"error": "model", "message": "", "more": 1}, {"base64": "?"},
    ],
)  # fmt: skip
def test_what_is_neither_result_nor_error_is_refused(op: str, answer: object) -> None:
    with pytest.raises(WrongAnswerError, match=r"^pi: answered"):
        use(op, answer)


@pytest.mark.parametrize(
    "line", [b"", b'{"ok":', b'{"ok": \xff}', b'{"ok": ' + b"[" * 200_000, b'{"ok": ' + b"9" * 5_000 + b"}"], ids=range(5)
)
def test_a_line_that_is_no_json_is_refused(line: bytes) -> None:
    with pytest.raises(WrongAnswerError, match=r"^pi: answered"):
        checked("noise", parsed(line, "pi"), "pi")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["array", "shape", "data", "x"]), inner),
    max_leaves=6,
)


@given(op=st.sampled_from(sorted(ANSWERS)), value=json_values, data=st.data())
def test_any_value_in_any_place_is_taken_or_refused(op: str, value: object, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(list(places(TRUE[op]))))
    with suppress(DeviceError):
        use(op, {"ok": changed(TRUE[op], place, value)})
