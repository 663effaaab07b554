"""A standard error that work survives: nobody may read it any more, or the disk that it goes to may be full."""

import io
import os


class LastingText(io.TextIOWrapper):
    """Text to a file descriptor that leads nowhere from the first write on that the system refuses."""

    def write(self, text: str) -> int:
        """Write ``text``, or give it up where the descriptor takes no more."""
        try:
            return super().write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        """Flush what was written, or give it up."""
        try:
            super().flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """Lead the descriptor to the null device: what is still in a buffer goes there, that of the interpreter's exit too."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def lasting(stream: io.TextIOWrapper) -> LastingText:
    """The stream that writes where ``stream`` does, in its encoding, line by line."""
    return LastingText(stream.buffer, encoding=stream.encoding, errors=stream.errors, line_buffering=True, write_through=True)
