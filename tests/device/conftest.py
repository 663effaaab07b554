"""A real sshd on a loopback port with throw-away keys, and a bare virtual environment as the device."""

import dataclasses
import getpass
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
import pytest

from hwnas.device.profile import HardwareProfile, Provider, Runtime, Ssh

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running sshd and the files of its one client."""

    port: int
    process: subprocess.Popen[bytes]
    identity_file: Path
    known_hosts: Path

    def profile(self, python: Path | str, **connection: object) -> HardwareProfile:
        given: dict[str, object] = {
            "type": "ssh",
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "python": str(python),
            "identity_file": str(self.identity_file),
            "known_hosts": str(self.known_hosts),
            "reconnect_limit_s": 2.0,
            **connection,
        }
        runtime = Runtime(providers=(Provider(name="CPUExecutionProvider"),), threads=1)
        connection_table = Ssh.model_validate(given)
        return HardwareProfile(
            name="loopback", description="a test", kind="onnxruntime", connection=connection_table, runtime=runtime
        )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("sshd did not start")


def start_sshd(folder: Path, port: int) -> subprocess.Popen[bytes]:
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)  # its privilege separation folder
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
    )
    process = subprocess.Popen([SSHD, "-f", str(config), "-D", "-E", str(folder / "log")])
    wait_for_port(port, process)
    return process


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not Path(SSHD).exists() or platform.system() == "Windows":
        pytest.skip("needs an OpenSSH server; on Debian: apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    process = start_sshd(folder, port)
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    yield Server(port=port, process=process, identity_file=folder / "user", known_hosts=known_hosts)
    process.terminate()
    process.wait()


def environment(name: str, *packages: str) -> Path:
    """The interpreter of an environment with these packages and nothing else; made once per machine and version."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}-{onnxruntime.__version__}-{getpass.getuser()}"
    home = Path(tempfile.gettempdir()) / f"hwnas-test-{name}-{version}"
    if not home.exists():
        building = Path(tempfile.mkdtemp(prefix=f"hwnas-test-{name}-"))
        subprocess.run([sys.executable, "-m", "venv", str(building)], check=True)
        pip = [str(building / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True, timeout=300)
        try:
            building.rename(home)
        except OSError:  # another test process was faster
            shutil.rmtree(building)
    return home / "bin" / "python"


@pytest.fixture(scope="session")
def device_python() -> Path:
    return environment("device", "numpy", f"onnxruntime=={onnxruntime.__version__}")


@pytest.fixture(scope="session")
def openvino_python() -> Path:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("onnxruntime-openvino is made for Linux on x86-64 only")
    return environment("openvino", "numpy", "onnxruntime-openvino")
