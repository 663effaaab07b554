"""The composition root: a configuration becomes parts, the parts become a run."""

from hwnas.experiment.progress import Listener, Progress, silent
from hwnas.experiment.run import resume, start
from hwnas.experiment.sitting import Ended

__all__ = ["Ended", "Listener", "Progress", "resume", "silent", "start"]
