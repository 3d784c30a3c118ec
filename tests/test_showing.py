"""One file shown by a child process: forked late or ahead of the command line, it shows the same and is as well guarded."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelscan import showing
from modelscan.formats import ReadOptions
from modelscan.limits import DEFAULT
from modelscan.policy.choice import Choice
from modelscan.showing import Showing, fork_ahead, show
from modelscan.worker import can_isolate

pytestmark = pytest.mark.skipif(not can_isolate(), reason="this platform cannot fork and limit a child process")
GOOD = Path(__file__).parent.parent / "fixtures" / "good"
EXAMPLE = str(GOOD / "simple_rnn.keras")
LEDGER = Showing("inspect", 120, False, True)
NO_FILE = Choice({}, isolated=True)


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr(showing, "_processors", lambda: 2)
    yield
    while showing._AHEAD:
        showing._AHEAD.pop().dismiss()


def ahead():
    """The process that waits."""
    ((worker,),) = [pool.workers for pool in showing._AHEAD]
    return worker


def shown(path=EXAMPLE, options=None, how=LEDGER, choice=NO_FILE, *, early):
    if early:
        fork_ahead([how.command, path])
        pid = ahead().pid
    found = show(path, options or ReadOptions(), how, choice.gate() if how.command == "inspect" else None, choice)
    if early:
        assert not showing._AHEAD
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return found


@pytest.mark.parametrize(
    "how",
    [
        LEDGER,
        Showing("inspect", 60, True, False),
        Showing("inspect", 120, False, True, "json"),
        Showing("inspect", 120, False, True, "markdown"),
        Showing("inspect", 120, False, True, weights=True, depth=0),
        Showing("explain", 120, False, True),
        Showing("explain", 120, False, True, layer="dense"),
        Showing("explain", 120, False, True, layer="dens"),
    ],
    ids=str,
)
def test_a_reader_forked_ahead_shows_what_one_forked_late_does(how):
    late = shown(how=how, early=False)
    assert shown(how=how, early=True) == late
    assert late.text or "did you mean dense?" in late.error


def test_options_and_settings_reach_a_reader_that_was_forked_ahead():
    options = ReadOptions(dims={"batch": 3}, inputs={"x": (None, 4)}, inference=False, values=True)
    assert ReadOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options
    choice = Choice({"budget": {"parameters": "1"}, "fail-on": {"default": "low"}}, isolated=True)
    found = shown(choice=choice, early=True)
    assert found == shown(choice=choice, early=False)
    assert found.status == 1
    assert "19,082" in found.text
    assert "budget" in found.text


def test_formulas_of_the_settings_file_hold_there(tmp_path):
    file = tmp_path / "modelscan.toml"
    file.write_text('[layers.Own]\nweights = { kernel = ["inputs", "units"] }\n')
    choice = Choice({}, str(file))
    assert shown(choice=choice, early=True) == shown(choice=choice, early=False)


def test_a_path_need_not_be_text(tmp_path):
    path = os.path.join(tmp_path, os.fsdecode(b"caf\xe9.keras"))
    Path(path).write_bytes(Path(EXAMPLE).read_bytes())
    assert "19,082 parameters" in shown(path, early=True).text


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="this platform does not tell the limits of a process")
def test_it_is_limited_from_its_first_moment():
    fork_ahead(["inspect", EXAMPLE])
    for _ in range(100):
        limits = Path(f"/proc/{ahead().pid}/limits").read_text()
        memory = next(line.split()[3] for line in limits.splitlines() if line.startswith("Max address space"))
        seconds = next(line.split()[3] for line in limits.splitlines() if line.startswith("Max cpu time"))
        if memory == str(DEFAULT.worker_memory) and seconds != "unlimited":
            return
        time.sleep(0.02)
    pytest.fail(limits)


def test_one_that_ended_before_its_file_is_a_finding_and_the_file_is_read_all_the_same():
    fork_ahead(["inspect", EXAMPLE])
    os.kill(ahead().pid, signal.SIGTERM)
    found = show(EXAMPLE, ReadOptions(), LEDGER, NO_FILE.gate(), NO_FILE)
    assert found.status == 1
    assert "SIGTERM" in found.text
    assert "19,082 parameters" in found.text


def test_where_only_this_process_has_what_the_settings_name_it_is_not_used():
    fork_ahead(["inspect", EXAMPLE])
    pid = ahead().pid
    found = show(EXAMPLE, ReadOptions(), LEDGER, NO_FILE.gate(), None)
    assert "19,082 parameters" in found.text
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@pytest.mark.parametrize(
    "arguments", [[], ["inspect"], ["inspect", "model.pb"], ["scan", "a.keras"], ["--help"], ["rule", "x.onnx"], ["inspect", "--help"]]
)
def test_nothing_is_forked_for_other_calls(arguments):
    fork_ahead(arguments)
    assert not showing._AHEAD


def test_nothing_is_forked_on_one_processor(monkeypatch):
    monkeypatch.setattr(showing, "_processors", lambda: 1)
    fork_ahead(["inspect", EXAMPLE])
    assert not showing._AHEAD


START = (
    "import os, sys\n"
    "from modelscan import showing\n"
    "showing._processors = lambda: 2\n"
    "hire = showing.Pool.hire\n"
    "def told(pool, prepare):\n"
    "    hire(pool, prepare)\n"
    "    print(pool.workers[0].pid, file=open(os.environ['PID_FILE'], 'w'), flush=True)\n"
    "showing.Pool.hire = told\n"
    "from modelscan.__main__ import main\n"
    "main()\n"
)


def runs(pid):
    """Whether a process is there and no zombie."""
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this platform does not tell which processes run")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["inspect", "missing.keras"], 2),
        (["inspect", EXAMPLE, "--nonsense"], 2),
        (["inspect", EXAMPLE, "--help"], 0),
        (["inspect", EXAMPLE, "--show-settings", "--isolated"], 0),
        (["inspect", EXAMPLE, "--isolated"], 0),
    ],
)
def test_however_a_call_ends_its_reader_ends_with_it(arguments, status, tmp_path):
    note = tmp_path / "pid"
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments], env=os.environ | {"PID_FILE": str(note)}, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == status
    assert not runs(int(note.read_text()))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this platform does not tell which processes run")
def test_a_reader_whose_parent_is_killed_ends_by_itself(tmp_path):
    note = tmp_path / "pid"
    code = START.replace("main()\n", "import time\nshowing.fork_ahead(sys.argv[1:])\ntime.sleep(60)\n")
    parent = subprocess.Popen([sys.executable, "-c", code, "inspect", EXAMPLE], env=os.environ | {"PID_FILE": str(note)})
    while not (note.exists() and note.read_text()):
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    for _ in range(300):
        if not runs(int(note.read_text())):
            return
        time.sleep(0.05)
    pytest.fail("it was still running")
