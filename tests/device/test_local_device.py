"""Measuring on this machine, for real."""

from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest

from hwnas.device import Device, HardwareProfile, load_profile, open_device, session
from hwnas.errors import DeviceError, ModelError, ProfileError
from tests.device.models import conv_net, external, one_node


@pytest.fixture(scope="module")
def profile() -> HardwareProfile:
    return load_profile("local-cpu")


@pytest.fixture(scope="module")
def device(profile: HardwareProfile) -> Iterator[Device]:
    with open_device(profile) as opened:
        yield opened


def test_a_latency_carries_its_interval_its_device_and_its_profile(device: Device, profile: HardwareProfile) -> None:
    latency = device.measure(conv_net(), half_width=0.05, time_limit_s=1.0)
    assert 0 < latency.latency_ms < 10
    assert 0 < latency.p50_ms <= latency.p90_ms <= latency.p99_ms
    assert latency.fingerprint_sha256 == device.fingerprint().sha256()
    assert latency.profile_sha256 == profile.sha256()
    assert latency.load_ms > 0
    assert latency.elapsed_s < 2.0


def test_four_times_the_work_takes_longer(device: Device) -> None:
    small, large = (device.measure(conv_net(16, size, 3), half_width=0.1, time_limit_s=0.5).latency_ms for size in (8, 32))
    assert large > 2 * small


def test_latencies_are_relative_to_the_nominal_that_the_run_keeps(profile: HardwareProfile, device: Device) -> None:
    with open_device(profile, reference_nominal_ms=10 * device.reference_nominal_ms) as scaled:
        assert scaled.reference_nominal_ms == 10 * device.reference_nominal_ms
        one, ten = (at.measure(conv_net(), half_width=0.05, time_limit_s=0.5) for at in (device, scaled))
    assert ten.latency_ms == pytest.approx(10 * one.latency_ms, rel=0.5)
    assert ten.reference_nominal_ms == scaled.reference_nominal_ms


def test_predictions_are_those_of_onnxruntime_in_batches(device: Device, profile: HardwareProfile) -> None:
    model = conv_net(batch="N")
    images = np.random.default_rng(0).random((300, 3, 8, 8), dtype=np.float32)
    expected = session(model, profile).run(None, {"x": images})[0]
    np.testing.assert_allclose(device.predict(model, images), expected, atol=1e-6)


def test_predicting_follows_the_model_that_is_asked_for(device: Device) -> None:
    images = np.ones((1, 3, 8, 8), np.float32)
    assert device.predict(conv_net(4), images).shape == (1, 4)
    assert device.predict(conv_net(6), images).shape == (1, 6)


def test_a_model_with_a_fixed_batch_predicts_in_batches_of_that_size(device: Device) -> None:
    images = np.ones((6, 3, 8, 8), np.float32)
    assert device.predict(conv_net(4, batch=2), images).shape == (6, 4)
    with pytest.raises(ModelError, match="batches of 2"):
        device.predict(conv_net(4, batch=2), images[:5])


def test_models_of_several_inputs_or_no_rows_are_not_predicted(device: Device) -> None:
    with pytest.raises(ModelError, match="one input and at least one row"):
        device.predict(conv_net(), np.empty((0, 3, 8, 8), np.float32))


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (b"no model", "expected an ONNX model"),
        (one_node("Fancy", [1], domain="nobody.knows"), "is not a registered function"),
        (external("w.bin").SerializeToString(), "kept in another file"),
        (one_node("Relu", ["batch", "height"]), "--shape height=N"),
    ],
    ids=["corrupt", "unknown operator", "external data", "unsettled dimension"],
)
def test_a_bad_model_is_one_clear_message(device: Device, model: bytes, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        device.measure(model, half_width=0.05, time_limit_s=0.5)


def test_symbolic_dimensions_are_measured_at_the_size_given(device: Device) -> None:
    model = one_node("Exp", ["batch", "width"])
    small, large = (device.measure(model, half_width=0.2, time_limit_s=0.2, shapes={"width": n}) for n in (10, 1_000_000))
    assert large.latency_ms > 10 * small.latency_ms


def test_noise_says_how_the_reference_fares(device: Device) -> None:
    noise = device.noise(0.1)
    assert noise.reference_ms > 0
    assert noise.spread >= 0


def test_a_provider_that_is_not_there_is_said_when_the_device_is_opened(profile: HardwareProfile) -> None:
    given = profile.model_dump()
    given["runtime"]["providers"] = [{"name": "CUDAExecutionProvider"}]
    with pytest.raises(DeviceError, match=r"no CUDAExecutionProvider here, it has .*CPUExecutionProvider"):
        open_device(HardwareProfile.model_validate(given))


def test_nothing_can_be_run_on_an_analytic_profile() -> None:
    analytic = load_profile("example-accelerator")
    with pytest.raises(ProfileError, match="analytic"):
        open_device(analytic)
    with pytest.raises(ProfileError, match="analytic"):
        session(conv_net(), analytic)


def test_a_session_is_set_up_as_the_profile_says(profile: HardwareProfile) -> None:
    options = session(conv_net(), profile).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    with pytest.raises(ModelError):
        session(b"no model", profile)


def test_threads_of_one_session_do_not_disturb_the_next() -> None:
    with open_device(load_profile("local-cpu-all-threads")) as both:
        assert both.measure(conv_net(32, 32, 3), half_width=0.1, time_limit_s=0.5).latency_ms > 0
        both.close()
