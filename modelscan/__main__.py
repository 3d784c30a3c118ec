"""The entry point: `modelscan` and `python -m modelscan`. Whatever goes wrong, the exit status tells it apart from findings."""

from __future__ import annotations

import os
import sys

FAULT = 2


def main() -> None:
    """Run the command line; a fault of our own exits 2, never 1."""
    try:
        from modelscan.cli import app

        app(prog_name="modelscan")
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("MODELSCAN_DEBUG"):
            raise
        print(f"modelscan: a fault of our own: {type(error).__name__}: {error}", file=sys.stderr)
        print("modelscan: set MODELSCAN_DEBUG=1 for the traceback", file=sys.stderr)
        sys.exit(FAULT)


if __name__ == "__main__":
    main()
