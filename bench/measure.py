"""Whole processes measured: wall time and peak resident memory of a command and its children, medians of several runs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """Medians over the runs of one command."""

    seconds: float
    megabytes: float
    status: int


def run_once(command: list[str], timeout: float) -> Figure:
    """One run. The peak is the largest of any process in it: children are waited for by their parent."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once; so is ours, in the run that warms up
    code = (
        "import os, resource, subprocess, sys, time\n"
        "t = time.perf_counter()\n"
        "p = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "d = time.perf_counter() - t\n"
        "print(d, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, p.returncode)\n"
    )
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            check=True,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return Figure(time.perf_counter() - started, float("nan"), -1)
    seconds, kilobytes, status = done.stdout.split()
    return Figure(float(seconds), int(kilobytes) / 1024, int(status))


def measure(commands: dict[str, list[str]], runs: int = 5, timeout: float = 600) -> dict[str, Figure]:
    """Medians of `runs` runs of each command, after one that warms the caches; a command of more than 20 s runs once.

    The commands take turns, so that a machine that becomes slower or faster does so for all of them.
    """
    found = {name: [run_once(command, timeout)] for name, command in commands.items()}
    again = [name for name, (first,) in found.items() if first.seconds <= 20 and first.status != -1]
    for name in again:
        found[name].clear()
    for _ in range(runs):
        for name in again:
            found[name].append(run_once(commands[name], timeout))
    return {name: _median(figures) for name, figures in found.items()}


def _median(found: list[Figure]) -> Figure:
    return Figure(
        statistics.median(one.seconds for one in found),
        statistics.median(one.megabytes for one in found),
        max((one.status for one in found), key=abs),
    )
