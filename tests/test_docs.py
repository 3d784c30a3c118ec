"""What is generated is up to date, every rule is documented, every command in the README runs as shown."""

import html
import re
from pathlib import Path

import pytest

from docs import console, pictures
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


@pytest.mark.parametrize(
    ("command", "output"), [pair for page in console.PAGES for pair in console.commands(page)], ids=lambda one: one[:40]
)
def test_the_pages_show_what_is_printed(command, output):
    assert console.printed(command) == output, "run `make docs`"


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_the_pictures_show_what_is_printed(name):
    drawn = re.sub(r"<style>.*?</style>", "", (pictures.IMAGES / f"{name}.svg").read_text(), flags=re.DOTALL)
    command, columns = pictures.PICTURES[name]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", pictures.printed(command, columns))
    words = "".join(f"$ {command} {plain}".split())
    assert words in "".join(html.unescape(re.sub(r"<[^>]+>", "", drawn)).split()), "run `make docs`"


def test_every_picture_is_used_and_every_link_leads_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    linked = set()
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
                linked.add((page.parent / target).resolve())
    assert set((ROOT / "docs" / "images").glob("*.svg")) <= linked
