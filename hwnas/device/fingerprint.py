"""What a device is: its fingerprint, read from what the agent says about the machine."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

INT8_DOT_FEATURES = ("avx512_vnni", "avx_vnni", "asimddp", "i8mm")


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

    def sha256(self) -> str:
        """Hash of what decides how fast and how exactly it computes: not the governor, kernel, Python or memory size."""
        identity = (self.cpu, self.architecture, self.cores, self.onnxruntime, self.providers, self.int8_dot)
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    @property
    def has_int8_dot(self) -> bool | None:
        """Whether int8 products are added up without saturation; x86 without it needs `reduce_range` when quantising."""
        return None if self.int8_dot is None else bool(self.int8_dot)

    def to_json(self) -> dict[str, Any]:
        """The fields as a plain dict for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Fingerprint":
        """The inverse of `to_json`."""
        int8_dot = fields["int8_dot"]
        return cls(
            **{
                **fields,
                "providers": tuple(fields["providers"]),
                "int8_dot": None if int8_dot is None else tuple(int8_dot),
            }
        )
