"""Profiles to fill in: what a new device needs to be known, and no more."""

from hwnas.errors import ProfileError

_HEAD = """\
# A device for hwnas: save this as MINE.toml, fill in what is marked, and check it: hwnas devices --device MINE.toml --check
# Then search on it: hwnas search --device MINE.toml
name = "mine"  # FILL IN
description = "what it is, for people"  # FILL IN
kind = "onnxruntime"
precision = "float32"  # what a search brings its networks to: float32, float16 or int8
"""
_SSH = """
# On the device, once: python3 -m venv hwnas-agent && hwnas-agent/bin/pip install numpy onnxruntime
# Here, once: ssh HOST, to check and accept its host key.
[connection]
type = "ssh"
host = "raspberrypi.local"  # FILL IN: a name or address, or an alias of your ssh configuration
python = "hwnas-agent/bin/python"  # the interpreter that has numpy and onnxruntime; relative to the user's home
# user = "pi"  # what is left out here comes from your own ssh configuration and agent
# port = 22
# identity_file = "~/.ssh/id_ed25519"
# connect_timeout_s = 10.0
# answer_timeout_s = 60.0  # beyond what the request itself may take
# reconnect_limit_s = 60.0  # how long a lost connection is tried again
"""
_RUNTIME = """
[runtime]
providers = [{ name = "CPUExecutionProvider" }]  # ONNX Runtime's backends, in order of preference
threads = 1  # within an operator; 0: one for each core

# [measurement]
# half_width = 0.02  # of the 95 % interval, relative to the latency, for the front; 0.05 within a search (search_half_width)
# time_limit_s = 10.0  # of one measurement; 1.0 within a search (search_time_limit_s)

# [limits]  # networks over one of these are never trained
# max_latency_ms = 5.0
# max_parameters = 200000
# max_macs = 10000000
# max_memory_kb = 2000.0
"""
NEW = {"ssh": _HEAD + _SSH + _RUNTIME, "local": _HEAD + _RUNTIME}


def new_profile(kind: str) -> str:
    """A profile of a device that is reached in this way, ``ssh`` or ``local``, to be filled in. Raises ProfileError."""
    if kind not in NEW:
        raise ProfileError(f"a new profile is for a device that is reached by {' or '.join(NEW)}, got {kind!r}")
    return NEW[kind]
