"""Every example of docs/policy.md is run as the page shows it; `--update-golden` writes the outputs anew."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from modelscan.config import DEFAULTS
from modelscan.settings import Budget, Requirements

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "policy.md"
BLOCK = re.compile(r"```(toml|console)\n(.*?)```", re.DOTALL)


def commands(block):
    """The commands of a console block."""
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def printed(command, folder):
    """What a command prints, both streams as on a terminal."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "modelscan").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m modelscan "$@"\n')
    (folder / "bin" / "modelscan").chmod(0o755)
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("MODELSCAN_", "NO_COLOR"))}
    plain |= {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "COLUMNS": "120", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", command], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=plain, timeout=120
    )
    return done.stdout.rstrip()


def test_the_page_shows_what_is_printed(tmp_path, request):
    (tmp_path / ".git").mkdir()
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    text = PAGE.read_text()
    shown = []

    def run(found):
        if found[1] == "toml":
            (tmp_path / "modelscan.toml").write_text(found[2])
            return found[0]
        parts = [f"$ {command}\n{printed(command, tmp_path)}\n" for command in commands(found[2])]
        shown.append(parts)
        return f"```console\n{''.join(parts)}```"

    actual = BLOCK.sub(run, text)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(actual)
    assert len(shown) > 10
    assert actual == PAGE.read_text()


@pytest.mark.parametrize(
    "key", [*DEFAULTS, *(f"budget.{one}" for one in Budget.__slots__), *(f"require.{one}" for one in Requirements.__slots__)]
)
def test_every_key_is_shown_in_an_example_or_a_command(key):
    name = key.rpartition(".")[2].replace("_", "-")
    name = {"opsets": "opset"}.get(name, name)
    if name in ("layers", "plugins") and "." not in key:
        pytest.skip("the page of custom layers shows it")
    examples = " ".join(found[2] for found in BLOCK.finditer(PAGE.read_text()))
    assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w])", examples), f"{key} is in no example of docs/policy.md"


def test_every_block_of_settings_is_toml():
    for found in BLOCK.finditer(PAGE.read_text()):
        if found[1] == "toml":
            tomllib.loads(found[2])
