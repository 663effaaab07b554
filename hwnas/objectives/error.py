"""The objective of every run: the share of validation images that a network gets wrong, by the run's metric."""

from hwnas.objective import Objective


class Error:
    """The error, which the evaluation at the end of each training gives, with its interval."""

    objective = Objective(name="error", cheap=False, text="percent", shown=True)
