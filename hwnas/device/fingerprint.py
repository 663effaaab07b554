"""What a device is: its fingerprint, read from what the agent says about the machine."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.device.agent import facts

INT8_DOT_FEATURES = ("avx512_vnni", "avx_vnni", "asimddp", "i8mm")
# How each field is written for people.
NAMES: Mapping[str, str] = {
    "cpu": "CPU",
    "architecture": "architecture",
    "cores": "cores",
    "memory_kb": "memory in kB",
    "governor": "CPU clock policy",
    "system": "system",
    "python": "Python",
    "onnxruntime": "ONNX Runtime",
    "providers": "ONNX Runtime backends",
    "int8_dot": "fast int8 (dot products)",
}


def worded(fact: object) -> str:
    """A field as text."""
    if fact is None:
        return "unknown"
    if isinstance(fact, list | tuple):
        return ", ".join(map(str, fact)) or "none"
    return f"{fact:,}" if isinstance(fact, int) else str(fact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a device is. Memory in kB; None where the device cannot say; `int8_dot` lists its int8 dot instructions."""

    cpu: str
    architecture: str
    cores: int
    memory_kb: int | None
    governor: str | None
    system: str
    python: str
    onnxruntime: str
    providers: tuple[str, ...]
    int8_dot: tuple[str, ...] | None

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Fingerprint":
        """Read the agent's `facts`: a board's own name goes before the CPU's, which an ARM board does not have."""
        fields: dict[str, str] = {}
        for line in facts["cpuinfo"].splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
        flags = fields.get("flags", fields.get("Features", "")).split()
        board = facts["board"].strip("\0\n ")
        return cls(
            cpu=board or fields.get("model name") or facts["processor"] or facts["architecture"],
            architecture=facts["architecture"],
            cores=facts["cores"],
            memory_kb=facts["memory_kb"],
            governor=facts["governor"].strip() or None,
            system=facts["system"],
            python=facts["python"],
            onnxruntime=facts["onnxruntime"],
            providers=tuple(facts["providers"]),
            int8_dot=tuple(feature for feature in INT8_DOT_FEATURES if feature in flags) if flags else None,
        )

    @classmethod
    def here(cls) -> "Fingerprint":
        """This machine's own."""
        return cls.from_facts(facts())

    def sha256(self) -> str:
        """Hash of what decides how fast and how exactly it computes: not the governor, kernel, Python or memory size."""
        identity = (self.cpu, self.architecture, self.cores, self.onnxruntime, self.providers, self.int8_dot)
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    @property
    def has_int8_dot(self) -> bool | None:
        """Whether int8 products are added up without saturation; x86 without it needs `reduce_range` when quantising."""
        return None if self.int8_dot is None else bool(self.int8_dot)

    def beside(self, other: "Fingerprint") -> str:
        """What distinguishes it from another: CPU, cores and ONNX Runtime, and what else differs of what decides its speed."""
        said = [self.cpu, "1 core" if self.cores == 1 else f"{self.cores} cores", f"ONNX Runtime {self.onnxruntime}"]
        for name in ("architecture", "system", "providers", "int8_dot"):
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                said.append(f"{NAMES[name]} {worded(mine)}")
        return ", ".join(said)

    def in_words(self) -> dict[str, str]:
        """What there is to say of it, by name, in words."""
        return {NAMES[name]: worded(fact) for name, fact in self.to_json().items()}

    def to_json(self) -> dict[str, Any]:
        """The fields as a plain dict for JSON."""
        return dataclasses.asdict(self)
