"""Exit statuses: the table in docs/exit-status.md, run row by row, so that neither can drift from the other."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.hostile.exhibit import write
from tests.hostile.onnx_files import gemm_model

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "exit-status.md"
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+) \| (\d+) \|$", re.MULTILINE)
TABLE = [
    (int(number), situation, example.replace("\\|", "|"), int(status))
    for number, situation, example, status in ROW.findall(PAGE.read_text())
]
COMMAND = re.compile(r"`([^`]*\bmodelscan [^`]*)`$")

INTERRUPTED = "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nimport modelscan.examine as e\ndef examine(*a, **k):\n    open('started', 'w').close()\n    time.sleep(60)\ne.examine = examine\n"
SPOILED = {
    "a fault of our own": ("modelscan scan models", "import sys\nsys.modules['modelscan.discover'] = None\n"),
    "the same with its traceback": ("MODELSCAN_DEBUG=1 modelscan scan models", "import sys\nsys.modules['modelscan.discover'] = None\n"),
    "a file crashes its reader": (
        "modelscan scan models",
        "import os\nimport modelscan.examine as e\ne.examine = lambda *a, **k: os.abort()\n",
    ),
    "a file takes too long": (
        "modelscan scan models",
        "import time\nimport modelscan.examine as e\nobject.__setattr__(e.DEFAULT, 'worker_seconds', 0.2)\ne.examine = lambda *a, **k: time.sleep(60)\n",
    ),
    "a file needs too much memory": (
        "modelscan scan models",
        "import modelscan.examine as e\ndef examine(*a, **k):\n    raise MemoryError\ne.examine = examine\n",
    ),
    "a fault of our own in the reader of a file": (
        "modelscan scan models",
        "import modelscan.examine as e\ne.examine = lambda *a, **k: 1 // 0\n",
    ),
    "verify without its extra": (
        "modelscan verify good.keras",
        "import sys\nsys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'tf_keras', 'onnxruntime')))\n",
    ),
}
"""What no file can bring about: the command, and a `sitecustomize.py` that breaks something."""
MUST_SAY = {
    "a path that does not exist": "no such file or folder",
    "diff with a folder of models": "models is a folder and no SavedModel",
    "verify of a folder of models": "models is a folder and no SavedModel",
    "an empty folder": "nothing to scan",
    "a fault of our own": "a fault of our own: ModuleNotFoundError",
    "the same with its traceback": "Traceback",
    "a file crashes its reader": "ended by SIGABRT",
    "a report file whose format nobody said": "write FORMAT:FILE",
    "inspect of a folder of models": "`modelscan scan` searches folders",
    "explain a layer that the model does not have": "did you mean dense?",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the page describes."""
    here = tmp_path_factory.mktemp("statuses")
    good = ROOT / "fixtures" / "good"
    shutil.copy(good / "simple_rnn.keras", here / "good.keras")
    shutil.copy(ROOT / "fixtures" / "bad" / "edited_units.h5", here / "wrong.h5")
    shutil.copy(ROOT / "fixtures" / "bad" / "page.h5", here / "page.h5")
    noted = gemm_model()
    noted.graph.initializer.append(numpy_helper.from_array(np.zeros((2, 2), np.float32), "unused"))
    noted.graph.value_info.append(helper.make_tensor_value_info("unused", 1, [2, 2]))
    write(here / "noted.onnx", noted.SerializeToString())
    (here / "models").mkdir()
    for name in ("simple_rnn.keras", "convolutional.h5", "conv_net.onnx"):
        shutil.copy(good / name, here / "models" / name)
    (here / "empty").mkdir()
    (here / "text").mkdir()
    write(here / "text" / "notes.txt", "no model")
    write(here / "broken.toml", "[budget\n")
    (here / "bin").mkdir()
    command = here / "bin" / "modelscan"
    write(command, f'#!/bin/sh\nexec "{sys.executable}" -m modelscan "$@"\n')
    command.chmod(0o755)
    return here


def environment(folder, spoiled=None):
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("MODELSCAN_", "COLUMNS"))}
    path = os.pathsep.join(filter(None, (spoiled and str(spoiled), str(ROOT), os.environ.get("PYTHONPATH"))))
    return plain | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path}


def run(command, folder, spoiled=None):
    call = ["bash", "-c", f"set -o pipefail; {command}"]
    return subprocess.run(call, cwd=folder, env=environment(folder, spoiled), capture_output=True, text=True, check=False, timeout=120)


def spoil(tmp_path, code):
    write(tmp_path / "sitecustomize.py", code)
    return tmp_path


def test_the_table_is_long_enough_and_numbered():
    assert [number for number, *_ in TABLE] == list(range(1, len(TABLE) + 1))
    assert len(TABLE) >= 20
    assert len({situation for _, situation, *_ in TABLE}) == len(TABLE)
    rows = {situation for _, situation, *_ in TABLE}
    assert set(SPOILED) | set(MUST_SAY) <= rows


@pytest.mark.parametrize(("situation", "example", "status"), [row[1:] for row in TABLE], ids=[row[1].replace(" ", "-") for row in TABLE])
def test_status(situation, example, status, folder, tmp_path):
    if situation == "interrupted":
        assert interrupted(folder, spoil(tmp_path, INTERRUPTED)) == status
        return
    if situation in SPOILED:
        command, code = SPOILED[situation]
        done = run(command, folder, spoil(tmp_path, code))
    else:
        match = COMMAND.match(example)
        assert match, f"{example} is no command, and nothing brings it about"
        done = run(match[1], folder)
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert MUST_SAY.get(situation, "") in said
    assert ("Traceback" in said) == (situation == "the same with its traceback"), said


def interrupted(folder, spoiled):
    """The status after Ctrl-C, which a terminal sends to the whole group."""
    started = folder / "started"
    process = subprocess.Popen(
        [sys.executable, "-m", "modelscan", "scan", "models"],
        cwd=folder,
        env=environment(folder, spoiled),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert b"Traceback" not in stderr
    return process.returncode
