"""The composition root: a configuration becomes parts, the parts become a run."""

from hwnas.experiment.loop import Ended
from hwnas.experiment.progress import Listener, Progress, silent
from hwnas.experiment.run import resume, start

__all__ = ["Ended", "Listener", "Progress", "resume", "silent", "start"]
