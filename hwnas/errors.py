"""Every exception that hwnas raises on purpose.

::

    HwnasError                       .exit_code says what the command line ends with
    ├── RequestError   (ValueError)    2: what was asked for cannot be done as asked
    │   ├── ConfigError                   an option, a configuration file, a budget
    │   ├── ProfileError                  a hardware profile
    │   ├── DataError                     a data set, or an image in it
    │   ├── RunFolderError                a folder that is not (or already is) a run, or is in use
    │   └── ModelError                    an ONNX file or torch model that we cannot take
    │       └── UnsupportedOperatorError         it uses an operator as we cannot
    └── WorkError      (RuntimeError)  1: the request was right, the work failed
        ├── GraphError                    a graph broke one of its invariants
        ├── MorphismError                 an operator was applied where it has no site, or weights could not be inherited
        │   └── OperatorError                an operator raised something else
        ├── TrainingError                 a training failed
        │   └── DivergedError                its loss became infinite or not a number
        ├── StrategyError                 a search strategy raised something else
        ├── ObjectiveError                an objective raised something else, or gave no value
        ├── DeviceError                   a device could not do what it was asked
        │   ├── DeviceUnreachableError       it did not answer, or the connection broke
        │   └── WrongAnswerError             it answered what its agent does not answer
        ├── StoreError                    something read back from a run is not what was written
        │   └── DiskFullError                something could not be written
        ├── ExportError                   an exported model did not pass its checks
        └── TrackerError                  an experiment tracker could not take what it was told

A message says what was expected, what came, and what to do about it.
"""

from typing import ClassVar


class HwnasError(Exception):
    """Root of the tree; catch this to catch everything hwnas raises on purpose."""

    exit_code: ClassVar[int] = 1


class RequestError(HwnasError, ValueError):
    """What was asked for cannot be done as asked; nothing was changed."""

    exit_code: ClassVar[int] = 2


class ConfigError(RequestError):
    """An option, configuration file or budget is wrong."""


class ProfileError(RequestError):
    """A hardware profile is unknown, incomplete or wrong."""


class DataError(RequestError):
    """A data set cannot be used: unknown, unlabelled, corrupt, or of the wrong shape."""


class RunFolderError(RequestError):
    """A folder is not a run, already holds another run, or is in use."""


class ModelError(RequestError):
    """An ONNX file or torch model cannot be taken as it is."""


class UnsupportedOperatorError(ModelError):
    """A model uses an operator that is not supported, or not in that way; another engine may run it."""


class WorkError(HwnasError, RuntimeError):
    """The request was right, but the work failed."""


class GraphError(WorkError, ValueError):
    """A graph broke one of its invariants."""


class MorphismError(WorkError, ValueError):
    """An operator was applied where it has no site."""


class OperatorError(MorphismError):
    """An operator, which may be a user's own, raised an exception; that is this error's cause."""

    def __init__(self, operator: str, message: str) -> None:
        super().__init__(operator, message)
        self.operator = operator
        self.message = message

    def __str__(self) -> str:
        return f"the operator {self.operator} failed: {self.message}"


class StrategyError(WorkError):
    """A search strategy, which may be a user's own, raised an exception; that is this error's cause."""


class ObjectiveError(WorkError):
    """An objective, which may be a user's own, raised an exception, which is then this error's cause, or gave no usable value."""

    def __init__(self, objective: str, message: str) -> None:
        super().__init__(objective, message)
        self.objective = objective
        self.message = message

    def __str__(self) -> str:
        return f"the objective {self.objective} failed: {self.message}"


class TrainingError(WorkError):
    """A training failed."""


class DivergedError(TrainingError):
    """A training's loss became infinite or not a number."""


class DeviceError(WorkError):
    """A device could not do what it was asked."""


class DeviceUnreachableError(DeviceError, ConnectionError):
    """A device did not answer within its limit, or the connection to it broke."""


class WrongAnswerError(DeviceError):
    """A device answered what its agent does not answer."""


class StoreError(WorkError):
    """Something read back from a run is not what was written."""


class DiskFullError(StoreError):
    """The disk has no room for what is to be stored."""


class ExportError(WorkError):
    """An exported model did not pass its checks."""


class TrackerError(WorkError):
    """An experiment tracker could not take what it was told."""
