import os
import sys

import pytest
from side_by_side import side_by_side

BUSY = "import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass"


def python(source: str) -> list[str]:
    return [sys.executable, "-c", source]


def test_each_commands_cpu_time_is_its_own_with_that_of_its_children(tmp_path) -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY.format(0.6)!r}])"
    took = side_by_side({"parent": python(child), "idle": python("import time; time.sleep(0.5)")}, tmp_path)
    assert 0.6 <= took["parent"].cpu_s < 2
    assert took["idle"].cpu_s < 0.5 <= took["idle"].elapsed_s


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system holds no process to a core")
def test_each_is_held_to_a_core_of_its_own_and_this_process_is_not(tmp_path) -> None:
    own = os.sched_getaffinity(0)
    if len(own) < 2:
        pytest.skip("one core")
    say = "import os, pathlib; pathlib.Path('{}').write_text(str(sorted(os.sched_getaffinity(0))))"
    took = side_by_side({name: python(say.format(name)) for name in ("a", "b")}, tmp_path)
    held = {name: (tmp_path / name).read_text() for name in took}
    assert held == {name: str([finished.core]) for name, finished in took.items()}
    assert held["a"] != held["b"]
    assert os.sched_getaffinity(0) == own


def test_a_command_that_fails_ends_the_other(tmp_path) -> None:
    with pytest.raises(SystemExit, match="broken ended with exit code 3"):
        side_by_side({"sleeper": python("import time; time.sleep(60)"), "broken": python("raise SystemExit(3)")}, tmp_path)
