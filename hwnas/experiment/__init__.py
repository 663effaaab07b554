"""The composition root: a configuration becomes parts, the parts become a run."""

from hwnas.experiment.planning import Wanted
from hwnas.experiment.progress import Listener, Progress, silent
from hwnas.experiment.run import resume, start
from hwnas.experiment.session import Ended
from hwnas.experiment.training import Trained, train

__all__ = ["Ended", "Listener", "Progress", "Trained", "Wanted", "resume", "silent", "start", "train"]
