"""How requests reach an agent: `LocalLink` calls it in this process; ssh.py has the other."""

from collections.abc import Mapping
from typing import Any, Protocol

from hwnas.device.agent import Agent, AgentError
from hwnas.errors import DeviceError, HwnasError, ModelError


class Link(Protocol):
    """A way to an agent that has been configured."""

    @property
    def configured(self) -> Mapping[str, Any]:
        """The agent's answer to `configure`."""

    def call(self, op: str, arguments: Mapping[str, Any], time_limit_s: float) -> Mapping[str, Any]:
        """The agent's answer to a request that may itself take `time_limit_s`."""

    def close(self) -> None:
        """Let go of the agent; closing twice does nothing."""


def as_error(kind: str, message: str) -> HwnasError:
    """The exception for what an agent could not do."""
    return ModelError(message) if kind == "model" else DeviceError(message)


class LocalLink:
    """The agent in this process."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._agent = Agent()
        self.configured = self.call("configure", configuration, 0.0)

    def call(self, op: str, arguments: Mapping[str, Any], time_limit_s: float) -> Mapping[str, Any]:
        """The agent's answer; the agent itself keeps to the time limit."""
        try:
            return self._agent.call(op, arguments)
        except AgentError as error:
            raise as_error(error.kind, str(error)) from error

    def close(self) -> None:
        """Forget the agent's sessions."""
        self._agent = Agent()
