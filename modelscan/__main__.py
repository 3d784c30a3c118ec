"""The entry point: `modelscan` and `python -m modelscan`. Whatever goes wrong, the exit status tells it apart from findings."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import NoReturn

FAULT = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def main() -> None:
    """Run the command line; a fault of our own exits 2, never 1."""
    _streams()
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # numpy's OpenBLAS starts a thread per core on import; nothing here multiplies matrices
    gc.set_threshold(100_000, 20, 20)  # what start-up makes stays: looking through it for cycles a dozen times takes 10 ms
    try:
        if sys.argv[1:2] in (["inspect"], ["explain"]):
            from modelscan.showing import fork_ahead

            fork_ahead(sys.argv[1:])
        from modelscan.cli import app
        from modelscan.cli.common import emitted, refuse_ambiguous

        refuse_ambiguous(sys.argv[1:])
        with emitted(sys.argv[1:]):
            app(prog_name="modelscan")
    except SystemExit as ended:
        _leave(ended)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - told with its own exit status, not with Python's 1, which says "findings"
        _tell(error)
        sys.exit(FAULT)


def _streams() -> None:
    """What was closed by the caller leads nowhere: no pipe or file of ours may take its place. Without an output there is no report."""
    for descriptor, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    if sys.stdout is None:
        print("modelscan: standard output is closed", file=sys.stderr)
        sys.exit(FAULT)


def _leave(ended: SystemExit) -> NoReturn:
    """End as asked, without taking apart what was imported object by object: that takes 20 ms, and the kernel frees it at once."""
    if not isinstance(ended.code, int) or os.environ.get("MODELSCAN_DEBUG"):  # a profiler, say, writes what it found at the very end
        raise ended
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more: what that means is for the interpreter to say
        raise ended from None
    os._exit(ended.code)


def _tell(error: Exception) -> None:
    if os.environ.get("MODELSCAN_DEBUG"):
        from traceback import print_exc

        print_exc()
        return
    print(f"modelscan: a fault of our own: {type(error).__name__}: {error}", file=sys.stderr)
    print("modelscan: set MODELSCAN_DEBUG=1 for the traceback", file=sys.stderr)


if __name__ == "__main__":
    main()
