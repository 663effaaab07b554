"""agent.py itself: sessions, feeds, machine facts, and its JSON lines, in this process and as a script of its own."""

import ast
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from hwnas.device import agent
from hwnas.device.latency import other_cores
from tests.device.models import conv_net, one_node

SOURCE = Path(agent.__file__)
CPU = {"name": "CPUExecutionProvider", "options": {}}
RUNTIME = {"providers": [CPU], "threads": 1, "spinning": True, "cpu_fallback": True, "optimise": True}
FEEDS = {"x": np.full((1, 3, 8, 8), 0.5, np.float32)}


def configure() -> dict[str, object]:
    return {"op": "configure", "runtime": RUNTIME, "model": conv_net(32), "feeds": FEEDS}


def as_lines(*requests: Mapping[str, object]) -> str:
    return "".join(json.dumps(request, default=agent.encode) + "\n" for request in requests)


def served(*requests: Mapping[str, object]) -> list[dict[str, Any]]:
    answers = io.StringIO()
    agent.serve(io.StringIO(as_lines(*requests)), answers)
    return [json.loads(line, object_hook=agent.decode) for line in answers.getvalue().splitlines()]


def test_it_needs_only_numpy_onnxruntime_and_the_standard_library() -> None:
    tree = ast.parse(SOURCE.read_text())
    imports = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imports += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in imports} - sys.stdlib_module_names == {"numpy", "onnxruntime"}


def test_bytes_and_arrays_survive_json() -> None:
    value: dict[str, Any] = {"model": b"\0\xff", "feeds": {"x": np.arange(6, dtype=np.int16).reshape(2, 3)}, "limit": 0.5}
    back = json.loads(json.dumps(value, default=agent.encode), object_hook=agent.decode)
    assert back["model"] == value["model"]
    assert back["feeds"]["x"].dtype == np.int16
    np.testing.assert_array_equal(back["feeds"]["x"], value["feeds"]["x"])


def test_the_script_answers_a_line_with_a_line_and_ends_with_its_input() -> None:
    measure = {"op": "measure", "model": conv_net(), "feeds": FEEDS, "half_width": 0.2, "time_limit_s": 0.2}
    done = subprocess.run(
        [sys.executable, str(SOURCE)], input=as_lines(configure(), measure), text=True, capture_output=True, timeout=30
    )
    configured, measured = (json.loads(line, object_hook=agent.decode)["ok"] for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert configured["facts"]["onnxruntime"] == onnxruntime.__version__
    assert len(measured["reference_ms"]) == len(measured["blocks_ms"]) + 1


def test_an_error_is_an_answer_and_the_next_request_is_served() -> None:
    broken: dict[str, Any] = {"op": "predict", "model": b"no model", "feeds": {}}
    _, failed, predicted = served(configure(), broken, {"op": "predict", "model": conv_net(), "feeds": FEEDS})
    assert failed["error"] == "model"
    assert predicted["ok"]["output"].shape == (1, 8)


def test_a_missing_provider_is_named_with_those_there_are() -> None:
    with pytest.raises(agent.AgentError, match=r"no CUDAExecutionProvider here, it has .*CPUExecutionProvider") as caught:
        agent.open_session(conv_net(), RUNTIME | {"providers": [{"name": "CUDAExecutionProvider", "options": {}}]})
    assert caught.value.kind == "device"


def test_an_operator_that_no_provider_has_is_the_models_fault() -> None:
    with pytest.raises(agent.AgentError, match=r"Fancy.* is not a registered function") as caught:
        agent.open_session(one_node("Fancy", [1, 3], domain="nobody.knows"), RUNTIME)
    assert caught.value.kind == "model"


def test_the_session_has_the_threads_and_optimisations_of_the_profile() -> None:
    options = agent.open_session(conv_net(), RUNTIME | {"threads": 2, "optimise": False}).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


@pytest.mark.parametrize("spinning", [True, False])
def test_idle_threads_spin_as_the_profile_says_but_never_into_the_next_model(spinning: bool) -> None:
    options = agent.open_session(conv_net(), RUNTIME | {"spinning": spinning}).get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == str(int(spinning))
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_what_a_library_prints_does_not_get_into_the_answers() -> None:
    program = (
        "import os; from hwnas.device import agent; agent.Agent.call = lambda *_: {'n': os.write(1, b'chatter')}; agent.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=as_lines({"op": "noise"}), text=True, capture_output=True, timeout=30
    )
    assert json.loads(done.stdout) == {"ok": {"n": 7}}
    assert "chatter" in done.stderr


def test_a_run_through_the_binding_computes_what_the_session_computes() -> None:
    session = agent.open_session(one_node("Relu", [2, 3]), RUNTIME)
    feeds = {"x": np.asarray([[1, -1, 2], [-2, 0, 3]], np.float32)}
    binding = session.io_binding()
    binding.bind_cpu_input("x", feeds["x"])
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], session.run(None, feeds)[0])
    agent.runner(session, feeds)()


def test_a_model_that_fails_when_run_is_reported_when_the_runner_is_made() -> None:
    session = agent.open_session(one_node("Relu", ["N", 3]), RUNTIME)
    with pytest.raises(agent.AgentError, match="cannot run this model"):
        agent.runner(session, {"x": np.ones((2, 4), np.float32)})


def test_another_busy_process_is_counted() -> None:
    if agent.cpu_times() is None:
        pytest.skip("this system has no /proc/stat")
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        time.sleep(0.1)
        start = agent.cpu_times()
        time.sleep(0.3)
        others = other_cores([start, agent.cpu_times()])
        busy.kill()
    assert others is not None
    assert others > 0.2


def test_memory_that_a_model_needs_shows_in_the_peak_however_often_it_is_measured() -> None:
    if agent.reset_peak_memory() is None:
        pytest.skip("this system does not count peak memory")
    values, limits = 1 << 20, {"half_width": 0.5, "time_limit_s": 0.05}
    model, feeds = one_node("Relu", [values]), {"x": np.ones(values, np.float32)}
    requests = as_lines(configure(), *[{"op": "measure", "model": model, "feeds": feeds, **limits}] * 4)
    # in a process of its own: what other tests left in this one may be let go meanwhile
    done = subprocess.run([sys.executable, str(SOURCE)], input=requests, capture_output=True, text=True, timeout=60, check=True)
    _, *answers = map(json.loads, done.stdout.splitlines())
    assert min(answer["ok"]["peak_memory_kb"] for answer in answers) >= 4 * values // 1024


def test_waiting_for_a_core_is_counted_and_taken_off() -> None:
    if not Path("/proc/thread-self/schedstat").exists():
        pytest.skip("this system does not count waiting")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        time.sleep(0.2)
        with agent.thread_timer() as timer:
            own_ms, wall_ms = agent.block(lambda: sum(range(300_000)), timer, 100_000_000)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert wall_ms.sum() > 1.3 * own_ms.sum()
    assert np.percentile(own_ms, 90) < 3 * np.percentile(own_ms, 10)  # of single blocks more waiting than there was is taken off
