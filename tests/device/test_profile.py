"""Hardware profiles: those that ship, and what a wrong one says."""

from pathlib import Path

import pytest

from hwnas.device.profile import HardwareProfile, load_profile, profile_names
from hwnas.errors import ProfileError

SHIPPED = {  # with their hashes, under which stored runs hold their latencies
    "android-xnnpack": "14d43fdaf7e18aeba78fc1e17fadbb09b6b1994d83823ce8705ced31d7f8220b",
    "example-accelerator": "a9427ad7664d4aeebeb034762d335ae0e04503c7e8842b9cd3f8f91248398ec9",
    "jetson-orin-tensorrt": "eb2d152326966062a1b50aff30a7fc5c9a73056331177d25f2e025d66d20b71b",
    "local-cpu": "dff171c171e9e19a62354f8c52b2d43271fdc6a83988094416a20efbacb40055",
    "local-cpu-all-threads": "4cf1ce979dbb4b1b658100408ffdb0f894562e0b7579c4912a3b9ba884f64143",
    "local-cpu-int8": "a30b6623844d21feedd7884007c6bf4918fd9f160cb3d2a9bb47903321150a3a",
    "openvino-cpu": "171fcf84cd02adc4ca8fa309118924520edd6fbe2bac91e85a6a48e20095b993",
    "raspberry-pi-5": "7b56cc5bec4cd1d0f92493302aefadec80d06520bd8341f3a3537b2f7c8fc912",
}
MINIMAL = """
name = "mine"
description = "a test"
kind = "onnxruntime"
[runtime]
providers = [{ name = "CPUExecutionProvider" }]
threads = 1
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_the_promised_profiles_ship() -> None:
    assert set(profile_names()) >= SHIPPED.keys()


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_profile_is_named_like_its_file_and_says_where_its_numbers_come_from(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert all(number.source and number.unit and number.basis for number in profile.nominal.values())
    assert profile.connection.type == "ssh" or profile.kind == "analytic" or name.startswith("local-")


def test_the_defaults_are_those_of_the_design() -> None:
    profile = load_profile("local-cpu")
    assert (profile.measurement.half_width, profile.measurement.search_half_width) == (0.02, 0.05)
    assert (profile.opset, profile.ir_version) == (17, 8)
    assert profile.runtime is not None
    assert profile.runtime.threads == 1


def test_a_path_takes_the_users_own(tmp_path: Path) -> None:
    assert load_profile(written(tmp_path, MINIMAL)).name == "mine"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"no hardware profile 'local-gpu'.*local-cpu, local-cpu-all-threads"):
        load_profile("local-gpu")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("threads = 1\n", "", r"mine\.toml: field runtime\.threads is missing"),
        ('name = "mine"', "", "field name is missing"),
        ("threads = 1", "thread = 1", r"field runtime\.thread is unknown; check its spelling"),
        ("threads = 1", "threads = -1", r"runtime\.threads: .* 0 \(got -1\)"),
        ("[runtime]", "[runtimes]", "runtimes is unknown"),
        ('kind = "onnxruntime"', 'kind = "gpu"', r"kind: .*'onnxruntime' or 'analytic' \(got 'gpu'\)"),
        ("threads = 1", "threads = 1\n[measurement]\nhalf_width = 1.5", r"measurement\.half_width"),
        ("threads = 1", "threads = 1\n[limits]\nmax_latency_ms = 0", r"limits\.max_latency_ms"),
        (
            "threads = 1",
            "threads = 1\n[nominal.clock]\nvalue = 2\nunit = 'Hz'\nbasis = 'stated'",
            r"nominal\.clock\.source is missing",
        ),
        ("threads = 1", 'threads = 1\n[connection]\ntype = "ssh"', r"field connection\.host is missing"),
        ("threads = 1", 'threads = 1\n[connection]\ntype = "shh"', r"connection\.type must be 'local' or 'ssh' \(got 'shh'\)$"),
        ("threads = 1", "threads = 1\n[connection]\nhost = 'pi'", r"connection\.type must be 'local' or 'ssh' \(got None\)$"),
        ("threads = 1", "threads = ", "expected TOML"),
        ("Provider", 'Provider", option = "', r"toml: field runtime\.providers\.0\.option is unknown; check its spelling$"),
        ('[{ name = "CPUExecutionProvider" }]', "[]", r"runtime\.providers: .* at least 1"),
    ],
)
def test_a_wrong_profile_names_the_field_and_the_file(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(ProfileError, match=complaint) as caught:
        load_profile(written(tmp_path, MINIMAL.replace(old, new)))
    assert "mine.toml" in str(caught.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, MINIMAL)
    monkeypatch.setattr(Path, "read_text", refuse)  # the tests may run as root, who reads everything
    with pytest.raises(ProfileError, match=r"mine\.toml: cannot be read: Permission denied"):
        load_profile(path)


def test_an_onnxruntime_profile_needs_a_runtime(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"needs a \[runtime\] table"):
        load_profile(written(tmp_path, MINIMAL[: MINIMAL.index("[runtime]")]))


def test_the_hash_is_of_what_the_profile_says_not_of_how(tmp_path: Path) -> None:
    plain = load_profile(written(tmp_path, MINIMAL)).sha256()
    assert load_profile(written(tmp_path, "# a comment\n" + MINIMAL + "spinning = true\n")).sha256() == plain
    assert load_profile(written(tmp_path, MINIMAL.replace("threads = 1", "threads = 2"))).sha256() != plain


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_hash_of_a_shipped_profile_is_what_it_was(name: str) -> None:
    assert load_profile(name).sha256() == SHIPPED[name]


@pytest.mark.parametrize("name", ["local-cpu", "example-accelerator"])
def test_a_field_that_is_added_with_a_default_does_not_change_the_hash(name: str) -> None:
    class Later(HardwareProfile):
        warm_up_s: float = 3.0
        batch: tuple[int, ...] = (1,)

    profile = load_profile(name)
    later = Later(**profile.model_dump())
    assert later.sha256() == profile.sha256()
    assert later.model_copy(update={"warm_up_s": 4.0}).sha256() != profile.sha256()


def test_a_nominal_number_is_had_in_its_unit_only() -> None:
    profile = load_profile("example-accelerator")
    assert profile.number("clock", "Hz") == 200e6
    with pytest.raises(ProfileError, match=r"\[nominal\.clock\] is in 'Hz'; give it in 'MHz'"):
        profile.number("clock", "MHz")
    with pytest.raises(ProfileError, match=r"has no \[nominal\.voltage\]"):
        profile.number("voltage", "V")
