"""Latencies, fingerprints and noise as values."""

import dataclasses
import json

import numpy as np
import pytest
from pydantic import TypeAdapter

from hwnas.device import agent
from hwnas.device.fingerprint import Fingerprint
from hwnas.device.latency import Latency, Noise, is_quiet, other_cores, spread, undisturbed
from hwnas.errors import DeviceError

ANSWER = {
    "blocks_ms": np.asarray([2.0, 2.2, 2.1]),
    "reference_ms": np.asarray([1.0, 1.0, 1.2, 1.0]),
    "percentiles_ms": np.asarray([2.1, 2.3, 4.0]),
    "raw_ms": 2.15,
    "waiting": 0.01,
    "samples": 30,
    "runs_per_sample": 1,
    "elapsed_s": 0.1,
    "load_ms": 3.0,
    "peak_memory_kb": None,
    "cpu_times": [(0.0, 10.0, 1.0), (2.0, 12.0, 3.0)],
}
PI_CPUINFO = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm aes crc32 asimdhp asimddp\nCPU part\t: 0xd0b"


def latency(**changes: object) -> Latency:
    return Latency.from_blocks(ANSWER | changes, nominal_ms=0.5, fingerprint_sha256="f", profile_sha256="p")


def facts(**changes: object) -> dict[str, object]:
    return agent.facts() | changes


def test_a_latency_is_the_ratio_times_the_nominal() -> None:
    measured = latency()
    ratios = [2.0 / 1.0, 2.2 / 1.1, 2.1 / 1.1]
    assert measured.latency_ms == pytest.approx(0.5 * np.mean(ratios))
    assert measured.raw_ms == 2.15
    assert measured.reference_ms == 1.0
    assert measured.p90_ms == pytest.approx(2.3 * 0.5)
    assert measured.half_width == pytest.approx(measured.ci_ms / measured.latency_ms)


def test_a_latency_survives_json() -> None:
    measured = latency()
    assert TypeAdapter(Latency).validate_json(json.dumps(measured.to_json())) == measured


@pytest.mark.parametrize("blocks_ms", [[0.0, 0.0, 0.0], [float("nan")] * 3])
def test_a_clock_that_stands_still_is_an_error(blocks_ms: list[float]) -> None:
    with pytest.raises(DeviceError, match="its clock may not advance"):
        latency(blocks_ms=np.asarray(blocks_ms))


@pytest.mark.parametrize("disturbed", [0, 3, 9])
def test_the_nominal_does_not_depend_on_how_much_of_the_opening_was_disturbed(disturbed: int) -> None:
    rng = np.random.default_rng(disturbed)
    blocks_ms = 0.18 * rng.normal(1, 0.005, 12)
    blocks_ms[rng.permutation(12)[:disturbed]] *= rng.uniform(1.05, 1.4, disturbed)
    assert undisturbed(blocks_ms) == pytest.approx(0.18, rel=0.02)


def test_our_own_work_does_not_count_as_others() -> None:
    assert other_cores([(0.0, 10.0, 1.0), (2.0, 15.0, 3.0)]) == 1.5
    assert other_cores([(0.0, 10.0, 1.0), (2.0, 11.9, 3.0)]) == 0.0
    assert other_cores([None, None]) is None


def test_quiet_needs_an_even_reference_and_idle_neighbours() -> None:
    assert is_quiet(0.01, 0.0)
    assert is_quiet(0.01, None)
    assert not is_quiet(0.04, 0.0)
    assert not is_quiet(0.01, 1.0)


def test_one_disturbed_block_in_ten_does_not_make_a_spread() -> None:
    assert spread(np.asarray([1.0] * 9 + [5.0])) == 0.0
    assert spread(np.asarray([1.0, 1.2] * 5)) == pytest.approx(0.1 / 1.1)


def test_noise_is_read_off_the_reference() -> None:
    noise = Noise.from_blocks({"reference_ms": np.asarray([1.0, 1.0, 1.3, 1.3]), "cpu_times": [None, None]})
    assert noise.reference_ms == pytest.approx(1.15)
    assert not noise.quiet


def test_a_fingerprint_survives_json() -> None:
    here = Fingerprint.from_facts(agent.facts())
    assert TypeAdapter(Fingerprint).validate_python(json.loads(json.dumps(here.to_json()))) == here  # as the store reads it


def test_a_board_is_named_before_its_cpu_and_arm_features_are_read() -> None:
    board = Fingerprint.from_facts(facts(cpuinfo=PI_CPUINFO, board="Raspberry Pi 5 Model B Rev 1.0\0", governor="ondemand\n"))
    assert (board.cpu, board.governor) == ("Raspberry Pi 5 Model B Rev 1.0", "ondemand")
    assert board.int8_dot == ("asimddp",)
    assert board.has_int8_dot


@pytest.mark.parametrize(
    ("flags", "has"), [("sse2 avx2", False), ("avx2 avx512_vnni", True), ("avx2 avx_vnni", True), (None, None)]
)
def test_int8_dot_instructions_are_found_in_the_flags(flags: str | None, has: bool | None) -> None:
    cpuinfo = "" if flags is None else f"model name\t: some x86\nflags\t\t: {flags}"
    assert Fingerprint.from_facts(facts(cpuinfo=cpuinfo)).has_int8_dot is has


def test_two_devices_are_told_apart_in_words() -> None:
    here = Fingerprint.from_facts(agent.facts())
    other = dataclasses.replace(here, cpu="Some ARM", cores=1, providers=("OtherProvider",), python="3.14")
    assert other.beside(here) == f"Some ARM, 1 core, ONNX Runtime {here.onnxruntime}, ONNX Runtime backends OtherProvider"
    assert here.beside(other).endswith(f"ONNX Runtime backends {', '.join(here.providers)}")
    assert here.beside(here) == f"{here.cpu}, {here.cores} core{'s' * (here.cores > 1)}, ONNX Runtime {here.onnxruntime}"
    facts = dataclasses.replace(here, memory_kb=4_000_000, int8_dot=(), governor=None).in_words()
    assert (facts["memory in kB"], facts["fast int8 (dot products)"], facts["CPU clock policy"]) == (
        "4,000,000",
        "none",
        "unknown",
    )


def test_the_hash_tells_devices_apart_but_not_their_moods() -> None:
    here = Fingerprint.from_facts(agent.facts())
    mood = dataclasses.replace(here, governor="powersave", system="another kernel", memory_kb=1, python="3.14")
    assert mood.sha256() == here.sha256()
    for change in ({"cpu": "another"}, {"onnxruntime": "0.1"}, {"cores": 128}, {"providers": ("Other",)}):
        assert dataclasses.replace(here, **change).sha256() != here.sha256()
