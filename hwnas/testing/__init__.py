"""Contract suites: what an objective, an operation, an operator and a strategy must do, as checks for a user's own tests.

Each check raises AssertionError that says which promise is broken; those of hwnas pass the same ones.
"""

from hwnas.testing.objective import check_objective
from hwnas.testing.op import check_op
from hwnas.testing.operator import check_operator
from hwnas.testing.strategy import check_strategy

__all__ = ["check_objective", "check_op", "check_operator", "check_strategy"]
