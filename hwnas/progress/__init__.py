"""What a run says of itself while it works, and its log file."""

from hwnas.progress.progress import Listener, Phase, Progress, silent

__all__ = ["Listener", "Phase", "Progress", "silent"]
