"""Examining files in child processes with limits, so that no file can take the scan down.

A worker is forked once and reused for file after file; what it found comes back as JSON, never as pickled objects. A crash
of a native library, a time-out or exhausted memory ends that worker and becomes a finding on the file that it had.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from modelscan.formats import ReadOptions
from modelscan.ledger import ModelReport
from modelscan.limits import Limits

_LENGTH = struct.Struct("<Q")
Examine = Callable[[str, ReadOptions | None, Limits], ModelReport]


def can_isolate() -> bool:
    """Whether this platform can fork and limit a child process."""
    if not hasattr(os, "fork"):
        return False
    try:
        import resource
    except ImportError:
        return False
    return hasattr(resource, "RLIMIT_AS")


def isolation_note() -> str | None:
    """What the reader of a report must know about limits that this platform does not set."""
    if not can_isolate():
        return "this platform cannot isolate the reading of files: no limit on time or memory was set"
    if sys.platform == "darwin":
        return "macOS does not enforce a limit on address space: files were read with a limit on time only"
    return None


@dataclass
class _Worker:
    pid: int
    tasks: int
    results: int
    index: int | None = None
    deadline: float = 0.0
    buffer: bytes = b""


class Pool:
    """Workers that examine files, at most `jobs` at once; results come in the order of the paths."""

    def __init__(
        self, examine: Examine, failed: Callable[[str, str, str], ModelReport], options: ReadOptions, limits: Limits, jobs: int
    ) -> None:
        """`failed(path, kind, reason)` makes the report on a file whose worker did not answer."""
        self.examine = examine
        self.failed = failed
        self.options = options
        self.limits = limits
        self.jobs = max(1, jobs)

    def run(self, paths: Sequence[str]) -> Iterator[ModelReport]:
        """The reports, as soon as all before them are there."""
        waiting = deque(range(len(paths)))
        done: dict[int, ModelReport] = {}
        workers = [self._start() for _ in range(min(self.jobs, len(paths)))]
        following = 0
        try:
            while following < len(paths):
                for worker in workers:
                    if worker.index is None and waiting:
                        self._give(worker, waiting.popleft(), paths)
                for worker in self._ready(workers):
                    report = self._collect(worker, paths)
                    if report is not None and worker.index is not None:
                        done[worker.index] = report
                        worker.index = None
                    if worker.pid < 0:
                        workers[workers.index(worker)] = self._start()
                while following in done:
                    yield done.pop(following)
                    following += 1
        finally:
            for worker in workers:
                self._stop(worker)

    def _start(self) -> _Worker:
        task_read, task_write = os.pipe()
        result_read, result_write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(task_write)
            os.close(result_read)
            self._serve(task_read, result_write)
        os.close(task_read)
        os.close(result_write)
        return _Worker(pid, task_write, result_read)

    def _serve(self, tasks: int, results: int) -> None:
        """The child: one path after another until the pipe closes. Never returns."""
        status = 0
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            limit_process(self.limits)
            while True:
                head = _read_exactly(tasks, _LENGTH.size)
                if head is None:
                    break
                path = os.fsdecode(_read_exactly(tasks, _LENGTH.unpack(head)[0]) or b"")
                try:
                    data = json.dumps(self.examine(path, self.options, self.limits).to_dict()).encode()
                except MemoryError:
                    data = json.dumps({"failed": "reader-memory"}).encode()
                os.write(results, _LENGTH.pack(len(data)))
                _write_all(results, data)
        except BaseException as error:  # noqa: BLE001 - the child must end here, whatever it was
            status = 70
            os.write(2, f"modelscan: a fault of our own while reading: {type(error).__name__}: {error}\n".encode())
            if os.environ.get("MODELSCAN_DEBUG"):
                import traceback

                traceback.print_exc()
        finally:
            os._exit(status)

    def _give(self, worker: _Worker, index: int, paths: Sequence[str]) -> None:
        data = os.fsencode(paths[index])
        worker.index = index
        worker.deadline = time.monotonic() + self.limits.worker_seconds
        try:
            _write_all(worker.tasks, _LENGTH.pack(len(data)) + data)
        except BrokenPipeError:
            worker.deadline = 0.0  # it is gone; `_collect` finds out how

    def _ready(self, workers: Sequence[_Worker]) -> list[_Worker]:
        """Workers that have something to read, have ended, or are past their time."""
        busy = [worker for worker in workers if worker.index is not None]
        patience = max(0.0, min((worker.deadline for worker in busy), default=0.0) - time.monotonic())
        readable, _, _ = select.select([worker.results for worker in busy], [], [], patience)
        now = time.monotonic()
        return [worker for worker in busy if worker.results in readable or worker.deadline <= now]

    def _collect(self, worker: _Worker, paths: Sequence[str]) -> ModelReport | None:
        """The report if it is complete, or that on the worker's end."""
        assert worker.index is not None  # noqa: S101 - only busy workers are collected
        path = paths[worker.index]
        if not select.select([worker.results], [], [], 0)[0]:
            self._end(worker)
            return self.failed(path, "reader-timeout", f"reading took longer than {self.limits.worker_seconds:g} s and was stopped")
        data = os.read(worker.results, 1 << 20)
        if not data:
            status = self._end(worker)
            return self.failed(path, *_death(status))
        worker.buffer += data
        if len(worker.buffer) < _LENGTH.size:
            return None
        length = _LENGTH.unpack_from(worker.buffer)[0]
        if len(worker.buffer) < _LENGTH.size + length:
            rest = _read_exactly(worker.results, _LENGTH.size + length - len(worker.buffer))
            worker.buffer += rest or b""
            if len(worker.buffer) < _LENGTH.size + length:
                return self.failed(path, *_death(self._end(worker)))
        answer = json.loads(worker.buffer[_LENGTH.size : _LENGTH.size + length])
        worker.buffer = b""
        if "failed" in answer:
            self._end(worker)
            return self.failed(path, answer["failed"], f"reading needed more than {self.limits.worker_memory:,} bytes of memory")
        return ModelReport.from_dict(answer)

    def _end(self, worker: _Worker) -> int:
        """Make sure that the worker is gone; its wait status."""
        for descriptor in (worker.tasks, worker.results):
            os.close(descriptor)
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(worker.pid, signal.SIGKILL)
        _, status = os.waitpid(worker.pid, 0)
        worker.pid = -1
        return status

    def _stop(self, worker: _Worker) -> None:
        if worker.pid > 0:
            self._end(worker)


def _death(status: int) -> tuple[str, str]:
    """Rule and reason for a worker that ended by itself."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "reader-crash", f"the process that read it was ended by {signal.Signals(number).name}"
    return "reader-crash", f"the process that read it ended with status {os.WEXITSTATUS(status)}"


def limit_process(limits: Limits) -> None:
    """Bound this process: address space, open files, no core dumps. What the platform refuses to set stays as it is."""
    import resource

    wanted = ((resource.RLIMIT_AS, limits.worker_memory), (resource.RLIMIT_NOFILE, limits.worker_files), (resource.RLIMIT_CORE, 0))
    for what, value in wanted:
        hard = resource.getrlimit(what)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(what, (bound, hard))
        except (ValueError, OSError):
            os.write(2, f"modelscan: the limit {what} cannot be set on this platform\n".encode())


def _read_exactly(descriptor: int, n: int) -> bytes | None:
    parts = []
    while n:
        part = os.read(descriptor, min(n, 1 << 20))
        if not part:
            return None
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
