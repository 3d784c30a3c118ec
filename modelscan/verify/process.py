"""The parent's side of the oracle: starts the child process, asks it with a time limit, tells why it did not answer."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import IO, Any, Self

from modelscan.limits import GIB

ORACLE = os.path.join(os.path.dirname(__file__), "oracle.py")
_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}


class Oracle:
    """A child process that loads files with their frameworks; started when it is first asked, anew after it died."""

    def __init__(self, *, seconds: float = 300, memory: int = 16 * GIB, turns: int = 100) -> None:
        """Limits on what the framework may take.

        Args:
            seconds: time for one file, the framework's own import included.
            memory: bytes of data that the process may allocate.
            turns: files after which it is started anew: frameworks do not give everything back.
        """
        self.seconds = seconds
        self.memory = memory
        self.turns = turns
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def ask(self, kind: str, path: str) -> dict[str, Any]:
        """What the framework says of a file: its answer, or an object with `error` or `missing`."""
        process = self._running()
        self._asked += 1
        assert process.stdin is not None  # noqa: S101 - opened as a pipe
        with contextlib.suppress(OSError):  # it is dead already; reading tells why
            process.stdin.write(json.dumps({"kind": kind, "path": os.path.abspath(path)}) + "\n")
            process.stdin.flush()
        line = self._line(process)
        if line is None:
            self.close()
            return {"error": f"the framework did not answer within {self.seconds:g} s"}
        try:
            answer = json.loads(line)
        except ValueError:
            return {"error": self._death(process)}
        if self._asked >= self.turns:
            self.close()
        return answer if isinstance(answer, dict) else {"error": "the framework's answer is no object"}

    def close(self) -> None:
        """End the child process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # what was still to be written finds nobody
                        pipe.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
            # -P: a file called keras.py in the working directory must not be taken for the framework.
            self._process = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, "-P", ORACLE, str(self.memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                encoding="utf-8",
                env=os.environ | _ENVIRONMENT,
            )
            self._asked = 0
        return self._process

    def _line(self, process: subprocess.Popen[str]) -> str | None:
        """The next line of the child, empty when it died; None when it takes too long.

        A thread waits for it: no other way to wait for a pipe with a time limit works on every platform.
        """
        assert process.stdout is not None  # noqa: S101 - opened as a pipe
        found: queue.SimpleQueue[str] = queue.SimpleQueue()
        reader = process.stdout
        threading.Thread(target=lambda: found.put(reader.readline()), daemon=True).start()
        try:
            return found.get(timeout=self.seconds)
        except queue.Empty:
            return None

    def _death(self, process: subprocess.Popen[str]) -> str:
        """Why the child answered nothing, and the last thing that it said."""
        try:
            status = process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            status = None
        said = b""
        if self._errors is not None:
            self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4096))
            said = self._errors.read()
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        self.close()
        how = f"crashed with {_signal_name(-status)}" if status is not None and status < 0 else f"ended with status {status}"
        return f"the framework {how}: {last[0]}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
