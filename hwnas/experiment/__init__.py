"""The composition root: a configuration becomes the context of a run, and that a run."""

from hwnas.experiment.planning import Wanted
from hwnas.experiment.run import resume, start
from hwnas.experiment.session import Ended
from hwnas.experiment.training import Trained, train
from hwnas.progress import Listener, Progress, silent

__all__ = ["Ended", "Listener", "Progress", "Trained", "Wanted", "resume", "silent", "start", "train"]
