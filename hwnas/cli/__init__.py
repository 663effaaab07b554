"""``hwnas``: thin commands over ``hwnas.api``.

Each command imports the api when it runs, so that ``--help`` is quick and a command that reads a run never loads torch. Results
go to stdout, everything else to stderr. Exit code 0: done; 1: the work failed; 2: the request was wrong; 130: Ctrl-C.
"""

from hwnas.cli.interrupting import ending_at_once

with ending_at_once():  # these imports take a third of a second, and nothing has begun that would have to be ended well
    from hwnas.cli.application import app, main

__all__ = ["app", "main"]
