"""Child processes with limits: whatever happens to one, the scan goes on and says what it was."""

import gc
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from modelscan.formats import ReadOptions
from modelscan.ledger import FindingReport, ModelReport
from modelscan.limits import DEFAULT, MIB
from modelscan.worker import Pool, can_isolate

pytestmark = pytest.mark.skipif(not can_isolate(), reason="this platform cannot fork and limit a child process")
SERVED = []


def examine(path, options, limits):
    """Does what the path says."""
    SERVED.append(path)
    match path.partition(":")[0]:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "abort":
            os.abort()
        case "exit":
            os._exit(3)
        case "sleep":
            time.sleep(60)
        case "memory":
            bytes(8 << 30)  # of zeros that no page is needed for until somebody looks
        case "fault":
            raise RuntimeError("a bug")
        case "talk":
            os.write(1, b"noise on stdout")
            os.write(2, b"noise on stderr")
        case "second":
            if len(SERVED) > 1:
                os.abort()
        case "files":
            [os.open(os.devnull, os.O_RDONLY) for _ in range(10_000)]
        case "wait":
            time.sleep(0.2)
        case "cycle":
            gc.disable()
            cycle = [open(os.devnull)]  # noqa: SIM115
            cycle.append(cycle)
    return ModelReport(path, "onnx", True, os.getpid(), name="ü" * 300_000 if path == "large" else str(len(SERVED)))


def failed(path, kind, reason):
    return ModelReport(path, None, False, None, findings=(FindingReport("FIL030", kind, "high", reason),))


def run(paths, jobs=1, **limits):
    return list(Pool(ModelReport, examine, failed, ReadOptions(), replace(DEFAULT, **limits), jobs).run(paths))


def test_the_next_file_is_read_while_the_caller_takes_the_last_one():
    answers = Pool(ModelReport, examine, failed, ReadOptions(), DEFAULT, 1).run(["a", "wait", "b"])
    next(answers)
    time.sleep(0.5)
    started = time.monotonic()
    next(answers)
    assert time.monotonic() - started < 0.15
    answers.close()


def test_files_that_objects_in_cycles_hold_open_are_given_back():
    """However seldom memory is collected: hundreds of small files are read before that."""
    answers = run([f"cycle:{n}" for n in range(600)])
    assert {one.readable for one in answers} == {True}


def test_small_files_wait_where_they_will_be_read():
    answers = Pool(ModelReport, examine, failed, ReadOptions(), DEFAULT, 1).run(["a", "wait:1", "wait:2", "wait:3", "b"])
    next(answers)
    time.sleep(1.0)
    started = time.monotonic()
    assert [one.path for one in answers] == ["wait:1", "wait:2", "wait:3", "b"]
    assert time.monotonic() - started < 0.2


def test_nothing_waits_behind_a_large_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("wait:large").write_bytes(bytes(1 << 20))
    first, *others = run(["wait:large", *"abcdef"], 2)
    assert first.file_bytes not in {one.file_bytes for one in others}


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("segfault", "reader-crash", "SIGSEGV"),
        ("abort", "reader-crash", "SIGABRT"),
        ("exit", "reader-crash", "status 3"),
        ("sleep", "reader-timeout", "longer than 1 s"),
        ("memory", "reader-memory", "4,294,967,296 bytes"),
        ("fault", "reader-crash", "RuntimeError: a bug"),
        ("files", "reader-crash", "Too many open files"),
    ],
)
def test_what_a_file_does_to_its_reader_is_a_finding_and_the_scan_goes_on(path, kind, says, jobs):
    reports = run(["a", path, "b", "c"], jobs, worker_seconds=1.0)
    assert [one.path for one in reports] == ["a", path, "b", "c"]
    assert [one.readable for one in reports] == [True, False, True, True]
    assert reports[1].findings[0].name == kind
    assert says in reports[1].findings[0].message


def test_workers_are_reused():
    reports = run([str(number) for number in range(50)])
    assert len({one.file_bytes for one in reports}) == 1
    assert [one.name for one in reports] == [str(number) for number in range(1, 51)]


def test_results_come_in_the_order_of_the_paths_whatever_takes_longer():
    paths = ["wait:1", "a", "b", "wait:2", "c", "d"]
    assert [one.path for one in run(paths, 3)] == paths


def test_a_file_does_not_answer_for_those_before_it():
    reports = run(["a", "second", "b"])
    assert [one.readable for one in reports] == [True, True, True]
    assert reports[0].file_bytes != reports[1].file_bytes


def test_large_answers_come_whole():
    assert run(["large", "a"])[0].name == "ü" * 300_000


def test_the_child_writes_to_no_stream_of_ours(capfd):
    assert run(["talk"])[0].readable
    assert capfd.readouterr() == ("", "")


def test_memory_is_limited():
    assert run(["memory"], worker_memory=16_384 * MIB)[0].readable
    assert not run(["memory"], worker_memory=1024 * MIB)[0].readable


def test_no_child_is_left_behind():
    generator = Pool(ModelReport, examine, failed, ReadOptions(), DEFAULT, 2).run(["a", "wait:1", "wait:2", "b"])
    next(generator)
    generator.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_path_need_not_be_text():
    path = os.fsdecode(b"caf\xe9")
    assert run([path])[0].path == path


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this platform does not tell which processes run")
def test_a_reader_whose_parent_is_gone_ends_by_itself(tmp_path):
    """A scan that was killed leaves nothing behind that burns a processor."""
    code = (
        "import os, sys\n"
        "from dataclasses import replace\n"
        "from modelscan.formats import ReadOptions\n"
        "from modelscan.ledger import ModelReport\n"
        "from modelscan.limits import DEFAULT\n"
        "from modelscan.worker import Pool\n"
        "def spin(path, options, limits):\n"
        "    open(path, 'w').write(str(os.getpid()))\n"
        "    while True:\n        pass\n"
        "list(Pool(ModelReport, spin, None, ReadOptions(), replace(DEFAULT, worker_seconds=0.5), 1).run([sys.argv[1]]))\n"
    )
    note = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", code, str(note)])
    while not (note.exists() and note.read_text()):
        time.sleep(0.02)
    child = int(note.read_text())
    parent.kill()
    parent.wait()
    for _ in range(300):
        if not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("it was still running")


INTERRUPTED = """
import os, signal, time
from modelscan.formats import ReadOptions
from modelscan.ledger import ModelReport
from modelscan.limits import DEFAULT
from modelscan.worker import Pool
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT))
slow = lambda path, options, limits: time.sleep(30)
next(Pool(ModelReport, slow, lambda path, kind, reason: ModelReport(path, None, False, None), ReadOptions(), DEFAULT, 1).run(["a"]))
"""


def test_an_interrupt_while_a_worker_is_forked_is_not_lost():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, timeout=20, check=False)
    assert done.returncode == -signal.SIGINT
    assert b"KeyboardInterrupt" in done.stderr
