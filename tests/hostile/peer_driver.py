"""Runs inside a peer's own environment: one command line after another in forked children, each with a time limit.

Standard library only, and nothing of ours: both packages that are called `modelscan` would answer to that name.

    python peer_driver.py modelscan|modelaudit SECONDS < paths > answers

Reads one path a line, answers with one JSON object a line: path, status (of the process; null when it was stopped or died), the severities
of what it reports, seconds. The peer is imported once; a child is a fork of that, so that what it costs is what the peer costs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

ENTRIES = {"modelscan": ("modelscan.cli", "main"), "modelaudit": ("modelaudit.__main__", "_run")}
"""What the peers' own scripts call."""
COMMANDS = {
    "modelscan": ["modelscan", "--path", "{path}", "--reporting-format", "json", "--output-file", "{report}"],
    "modelaudit": ["modelaudit", "scan", "{path}", "--format", "json", "--output", "{report}", "--no-cache", "--quiet"],
}
TRACEBACK = 99
"""Stands for the status of a child whose exception nobody caught."""
FIRST = ("h5py", "onnx", "tensorflow")
"""What the peers' own readers import when they are needed: once, before the forks."""


def main() -> None:
    """Answers for every path."""
    peer, seconds = sys.argv[1], float(sys.argv[2])
    for name in FIRST:
        with contextlib.suppress(ImportError):  # an extra that is not there: the peer says so itself
            import_module(name)
    module, function = ENTRIES[peer]
    entry = getattr(import_module(module), function)
    print(json.dumps({"peer": peer, "version": version(peer)}), flush=True)
    for line in sys.stdin:
        print(json.dumps(one(peer, entry, line.rstrip("\n"), seconds)), flush=True)


def one(peer: str, entry: Callable[[], object], path: str, seconds: float) -> dict[str, object]:
    """One path through the peer's command line."""
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        arguments = [part.format(path=path, report=report) for part in COMMANDS[peer]]
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            call(entry, arguments, folder)
        status = wait(pid, started + seconds)
        took = time.monotonic() - started
        return {"path": path, "status": status, "severities": severities(report), "seconds": round(took, 2)}


def call(entry: Callable[[], object], arguments: list[str], folder: str) -> NoReturn:
    """In the child: the peer's entry point, as its script would call it."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.chdir(folder)
    os.environ.update({"HOME": folder, "PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1"})
    status = TRACEBACK
    sys.argv = arguments
    try:
        status = as_status(entry())
    except SystemExit as ended:
        status = as_status(ended.code)
    finally:
        os._exit(status)


def as_status(code: object) -> int:
    """The exit status that Python makes of what a script hands to `sys.exit`."""
    return code if isinstance(code, int) else int(code is not None)


def wait(pid: int, deadline: float) -> int | None:
    """The exit status; None when the child was stopped at its time limit, negative when a signal ended it."""
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def severities(report: str) -> list[str]:
    """Of all issues in the peer's JSON report, in lower case."""
    try:
        found = json.loads(Path(report).read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return []
    return sorted(str(issue.get("severity", "")).lower() for issue in found.get("issues", []))


if __name__ == "__main__":
    main()
