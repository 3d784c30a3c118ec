"""Examining files in child processes with limits, so that no file can take the scan down.

A worker is forked once and reused for file after file; what it found comes back as JSON, never as pickled objects. A crash
of a native library, a time-out or exhausted memory ends that worker and becomes a finding on the file that it had. A file that
was not its worker's first gets a second chance in a fresh one, so that no file answers for what came before it.

A worker that reads small files has the next ones waiting in its pipe: it goes on while its last answer is taken, and neither side
sleeps until the other has woken up.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import select
import signal
import stat
import struct
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, NoReturn, TypeVar

from modelscan.formats import ReadOptions
from modelscan.ledger import Plain
from modelscan.limits import Limits

_LENGTH = struct.Struct("<Q")
_HEAD = struct.Struct("<QB")
"""Before an answer: its bytes, and what it is."""
_ANSWER, _FAILED, _LAST = range(3)
"""An answer, a failure after which the worker goes on, one after which it ends."""
_CHUNK = 1 << 20
_GRACE = 2
"""Seconds of processor time beyond the limit on a file, so that the parent's clock always speaks first."""
_AHEAD = 256
"""Files that may be finished before the one whose turn it is: what waits in memory while a slow file is read."""
_DEPTH = 12
"""Small files that a worker may have at once, the one that it reads included; their paths fit into a pipe: nobody waits to write."""
_NAP = 0.006
"""Seconds for which answers may gather while all workers have enough to do: to wake up for each of them costs the worker its processor."""
_SMALL = 64 << 10
"""Bytes of a file that is read within milliseconds: one may wait behind another, whichever worker becomes free meanwhile."""
Answer = TypeVar("Answer", bound=Plain)
"""What is asked of each file: its report, or a view of it that was drawn where it was read."""


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
        return "macOS does not enforce a limit on address space: files were read with limits on time and open files only"
    return None


@dataclass
class _Worker:
    pid: int
    tasks: int
    results: int
    given: deque[int] = field(default_factory=deque)
    """Which paths it has: the one that it reads, then those that wait."""
    quick: bool = False
    """Whether they are small files."""
    served: int = 0
    deadline: float = 0.0
    """For the path that it reads."""
    buffer: bytearray = field(default_factory=bytearray)


class Pool(Generic[Answer]):
    """Workers that examine files, at most `jobs` at once; results come in the order of the paths."""

    def __init__(
        self,
        answer: type[Answer],
        examine: Callable[[str, ReadOptions | None, Limits], Answer],
        failed: Callable[[str, str, str], Answer],
        options: ReadOptions,
        limits: Limits,
        jobs: int,
    ) -> None:
        """`failed(path, kind, reason)` answers for a file whose worker did not."""
        self.answer = answer
        self.examine = examine
        self.failed = failed
        self.options = options
        self.limits = limits
        self.jobs = max(1, jobs)
        self.workers: list[_Worker] = []

    def run(self, paths: Sequence[str]) -> Iterator[Answer]:
        """The answers, as soon as all before them are there."""
        waiting = deque(range(len(paths)))
        done: dict[int, Callable[[], Answer]] = {}
        following = 0
        try:
            while following < len(paths):
                self._employ(waiting, paths, following + _AHEAD)
                for worker in self._ready():
                    done.update(self._collect(worker, paths))
                    if worker.pid < 0:  # what it leaves is another one's
                        waiting.extendleft(reversed(worker.given))
                self._employ(waiting, paths, following + _AHEAD)  # they read on while the caller takes what is finished
                while following in done:
                    yield done.pop(following)()
                    following += 1
        finally:
            self.dismiss()

    def hire(self, prepare: Callable[[], None]) -> None:
        """Fork a worker before there is a path for it; it prepares itself meanwhile."""
        self.workers.append(self._start(prepare))

    def dismiss(self) -> None:
        """End all workers."""
        for worker in self.workers:
            self._end(worker)
        self.workers.clear()

    def _employ(self, waiting: deque[int], paths: Sequence[str], end: int) -> None:
        """Give the workers paths before `end`."""
        self.workers = [worker for worker in self.workers if worker.pid > 0]
        while waiting and waiting[0] < end and (worker := self._free()) is not None:
            small = _is_small(paths[waiting[0]])
            if worker.given and not small:
                return
            worker.quick = small
            self._give(worker, waiting.popleft(), paths)

    def _free(self) -> _Worker | None:
        """A worker with nothing to do, a new one, or the one with the fewest small files; None where all have enough."""
        found = min((one for one in self.workers if not one.given or one.quick), key=lambda one: len(one.given), default=None)
        if (found is None or found.given) and len(self.workers) < self.jobs:
            self.workers.append(found := self._start())
        return None if found is None or len(found.given) >= _DEPTH else found

    def _start(self, prepare: Callable[[], None] | None = None) -> _Worker:
        task_read, task_write = os.pipe()
        result_read, result_write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        with _interrupts_held(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads; the child uses none of theirs
            pid = os.fork()
            if pid == 0:
                for descriptor in (task_write, result_read, *(end for one in self.workers for end in (one.tasks, one.results))):
                    os.close(descriptor)
                self._serve(task_read, result_write, prepare)
        os.close(task_read)
        os.close(result_write)
        return _Worker(pid, task_write, result_read)

    def _serve(self, tasks: int, results: int, prepare: Callable[[], None] | None) -> NoReturn:
        """The child: one path after another until the pipe closes."""
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _be_silent()
            limit_process(self.limits)
            first = _next_descriptor(results, self.limits.worker_files)
            most = first + (self.limits.worker_files - first) // 2
            gc.freeze()  # what the parent made stays: no collection walks it, and its pages stay shared
            if prepare is not None:
                limit_time(self.limits)
                prepare()
            while True:
                head = _read_exactly(tasks, _LENGTH.size)
                if head is None:
                    break
                path = os.fsdecode(_read_exactly(tasks, _LENGTH.unpack(head)[0]) or b"")
                limit_time(self.limits)
                data, what = self._answer(path)
                _write_all(results, _HEAD.pack(len(data), what) + data)
                if what == _LAST:
                    break
                if _next_descriptor(results, self.limits.worker_files) > most:
                    gc.collect()  # files that objects in cycles hold open are given back
        finally:
            os._exit(0)

    def _answer(self, path: str) -> tuple[bytes, int]:
        """The answer on one file as JSON, or rule and reason of a failure; and which of these, and whether this process is still fit."""
        try:
            return self.examine(path, self.options, self.limits).packed(), _ANSWER
        except MemoryError:
            reason = f"reading needed more than {self.limits.worker_memory:,} bytes of memory"
            return json.dumps(["reader-memory", reason]).encode(), _LAST
        except Exception as error:  # noqa: BLE001 - a fault of ours is a finding on the file, not the end of the scan
            if os.environ.get("MODELSCAN_DEBUG"):
                import traceback

                traceback.print_exc()
            reason = f"a fault of our own while reading it: {type(error).__name__}: {error}"
            return json.dumps(["reader-crash", reason]).encode(), _FAILED

    def _give(self, worker: _Worker, index: int, paths: Sequence[str]) -> None:
        data = os.fsencode(paths[index])
        if not worker.given:
            worker.deadline = time.monotonic() + self.limits.worker_seconds
        worker.given.append(index)
        with contextlib.suppress(BrokenPipeError):  # it is gone; `_collect` finds out how
            _write_all(worker.tasks, _LENGTH.pack(len(data)) + data)

    def _ready(self) -> list[_Worker]:
        """Busy workers that have something to read, have ended, or are past their time."""
        busy = [worker for worker in self.workers if worker.given]
        if all(len(worker.given) > _DEPTH // 2 for worker in busy):
            time.sleep(_NAP)
        patience = max(0.0, min((worker.deadline for worker in busy), default=0.0) - time.monotonic())
        readable, _, _ = select.select([worker.results for worker in busy], [], [], patience)
        now = time.monotonic()
        return [worker for worker in busy if worker.results in readable or worker.deadline <= now]

    def _collect(self, worker: _Worker, paths: Sequence[str]) -> Iterator[tuple[int, Callable[[], Answer]]]:
        """What makes the answers that are complete, and one that the worker will not give.

        A file at which a worker ended that had read others before stays among what the worker was given: it gets another one.
        """
        if not select.select([worker.results], [], [], 0)[0]:
            self._end(worker)
            reason = f"reading took longer than {self.limits.worker_seconds:g} s and was stopped"
            yield self._failure(worker, paths, "reader-timeout", reason)
            return
        data = os.read(worker.results, _CHUNK)
        if not data:
            kind, reason = self._end(worker)
            if worker.served == 0:
                yield self._failure(worker, paths, kind, reason)
            return
        worker.buffer += data
        for answer, what in _complete(worker.buffer):
            worker.deadline = time.monotonic() + self.limits.worker_seconds
            if what == _LAST:
                self._end(worker)
                if worker.served:
                    return
            if what == _ANSWER:
                worker.served += 1
                yield worker.given.popleft(), partial(self._made, answer)
            else:
                yield self._failure(worker, paths, *json.loads(answer))

    def _made(self, answer: bytes) -> Answer:
        return self.answer.from_dict(json.loads(answer))

    def _failure(self, worker: _Worker, paths: Sequence[str], kind: str, reason: str) -> tuple[int, Callable[[], Answer]]:
        """What answers for the file that the worker has."""
        index = worker.given.popleft()
        return index, partial(self.failed, paths[index], kind, reason)

    def _end(self, worker: _Worker) -> tuple[str, str]:
        """Make sure that the worker is gone; rule and reason, if it ended by itself."""
        if worker.pid < 0:
            return "reader-crash", "it had ended"
        for descriptor in (worker.tasks, worker.results):
            os.close(descriptor)
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(worker.pid, signal.SIGKILL)
        _, status, usage = os.wait4(worker.pid, 0)
        worker.pid = -1
        return _death(status, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), self.limits)


def _death(status: int, most: int, limits: Limits) -> tuple[str, str]:
    """Rule and reason for a worker that ended by itself after it had used `most` bytes of memory."""
    if not os.WIFSIGNALED(status):
        return "reader-crash", f"the process that read it ended with status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = f"signal {number}"
    if number == signal.SIGXCPU:
        return "reader-timeout", f"reading took longer than {limits.worker_seconds:g} s and was stopped"
    if number == signal.SIGKILL or (number == signal.SIGABRT and most > limits.worker_memory // 2):
        return "reader-memory", f"the process that read it was ended by {name} after it had used {most:,} bytes of memory"
    return "reader-crash", f"the process that read it was ended by {name}"


def limit_process(limits: Limits) -> None:
    """Bound this process: address space, open files, no core dumps. What the platform refuses to set stays as it is."""
    import resource

    wanted = ((resource.RLIMIT_AS, limits.worker_memory), (resource.RLIMIT_NOFILE, limits.worker_files), (resource.RLIMIT_CORE, 0))
    for what, value in wanted:
        hard = resource.getrlimit(what)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # told once for the whole scan, by `isolation_note`
            resource.setrlimit(what, (bound, hard))


def limit_time(limits: Limits) -> None:
    """Bound the processor time of this process from now on: the parent's clock stops it earlier, unless the parent is gone."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    bound = int(usage.ru_utime + usage.ru_stime + limits.worker_seconds) + _GRACE
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    with contextlib.suppress(ValueError, OSError):  # a lower bound that was set from outside stands
        resource.setrlimit(resource.RLIMIT_CPU, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """An interrupt waits meanwhile: of what is raised while functions registered for a fork run, Python says that it was ignored."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _next_descriptor(like: int, most: int) -> int:
    """The number that the next file would get: about how many are open; `most` when it gets none."""
    try:
        descriptor = os.dup(like)
    except OSError:
        return most
    os.close(descriptor)
    return descriptor


def _be_silent() -> None:
    """Standard streams of the child lead nowhere: native libraries write to them what belongs into no report."""
    if os.environ.get("MODELSCAN_DEBUG"):
        return
    faulthandler.disable()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def _is_small(path: str) -> bool:
    """Whether reading it takes milliseconds, as far as its size tells; what is not there takes none."""
    try:
        found = os.stat(path)
    except OSError:
        return True
    return stat.S_ISREG(found.st_mode) and found.st_size <= _SMALL


def _complete(buffer: bytearray) -> Iterator[tuple[bytes, int]]:
    """Takes the answers that are whole out of what has come from a worker; each with what it is."""
    while len(buffer) >= _HEAD.size:
        size, what = _HEAD.unpack_from(buffer)
        end = _HEAD.size + size
        if len(buffer) < end:
            return
        answer = bytes(buffer[_HEAD.size : end])
        del buffer[:end]
        yield answer, what


def _read_exactly(descriptor: int, n: int) -> bytes | None:
    parts = []
    while n:
        part = os.read(descriptor, min(n, _CHUNK))
        if not part:
            return None
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
