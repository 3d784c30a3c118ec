"""What is generated is up to date, every rule is documented, every command in the README runs as shown."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import pages
from modelscan.rules import all_rules

ROOT = Path(__file__).parent.parent
HEADINGS = ["What it does", "Why it matters", "Example", "What to do", "References"]


@pytest.mark.parametrize(("path", "text"), list(pages()), ids=lambda one: getattr(one, "name", ""))
def test_generated_pages_are_up_to_date(path, text):
    assert path.read_text() == text, "run `make docs`"


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_every_rule_has_its_headings(rule):
    assert re.findall(r"^(\w[\w ]+):$", rule.documentation(), re.MULTILINE) == HEADINGS
    assert re.fullmatch(r"(FIL|GRF|PAR|SEC|WGT|DEP|POL)\d{3}", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert rule.help


def shown():
    """Commands of the README with the output that it shows for them."""
    text = (ROOT / "README.md").read_text()
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("modelscan "):
                yield command, output.rstrip()


@pytest.mark.parametrize(("command", "output"), list(shown()), ids=lambda one: one[:40])
def test_the_readme_shows_what_is_printed(command, output):
    call = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(
        call, capture_output=True, text=True, cwd=ROOT, check=False, encoding="utf-8", env=os.environ | {"COLUMNS": "120"}
    )
    assert done.stdout.rstrip() == output
