"""`semtune` and `python -m semtune` are the command line."""

import os
import sys
from contextlib import suppress

from semtune.cli import run


def main() -> None:
    """Run the command line, and end at once.

    Python would take apart the thousands of modules of a search one by one, which takes a second.
    """
    code = 0
    try:
        run()
    except SystemExit as end:
        code = int(end.code or 0)
    with suppress(BrokenPipeError):  # the reader of a pipe has left
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
