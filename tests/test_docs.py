"""What is generated is up to date, every rule is documented, every command in the README runs as shown."""

import doctest
import html
import re
from dataclasses import fields, is_dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path

import pytest
from typer.main import get_command

import modelscan
from docs import console, pictures
from docs.generate import pages
from modelscan import ledger
from modelscan.cli import app
from modelscan.diff import Change, Diff
from modelscan.layers.keras.registry import CATALOGUE
from modelscan.limits import DEFAULT
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


def rows(page, heading):
    """The first table below a heading of a page: the names in the first column and the rest of the line."""
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    table = re.search(r"^\|[-|: ]+\|\n((?:\|.*\n)*)", section, re.MULTILINE)
    return {tuple(re.findall(r"`([^`]+)`", line.split("|")[1])): line.split("|", 2)[2] for line in table[1].splitlines()}


GROUP = get_command(app)
COMMANDS = {name: GROUP.get_command(None, name) for name in GROUP.list_commands(None)}


def test_every_command_has_its_section():
    assert re.findall(r"^## (.+)", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_the_page_are_those_of_the_command(name):
    documented = rows("commands.md", name)
    real = {}
    for one in COMMANDS[name].params:
        names = tuple(sorted(one.opts, key=len)) if one.param_type_name == "option" else (one.metavar.strip("[.]"),)
        real[names] = one
    assert list(documented) == list(real)
    for names, one in real.items():
        told = documented[names]
        for word in getattr(one.type, "choices", ()):
            assert f"`{word}`" in told, f"{names}: {word}"
        if one.default not in (None, False):
            assert re.search(rf"\| `?{re.escape(str(one.default))}`? \|", told), f"{names}: {one.default}"
        assert ("repeatable" in one.help) == ("repeatable" in told), names


@pytest.mark.parametrize(
    "kind", [*(one for one in vars(ledger).values() if is_dataclass(one) and one.__module__ == ledger.__name__), Diff, Change]
)
def test_the_fields_of_the_page_are_those_of_the_class(kind):
    documented = [name for names in rows("api.md", kind.__name__) for name in names]
    assert sorted(documented) == sorted(one.name for one in fields(kind))


@pytest.mark.parametrize("function", ["inspect", "scan", "diff"])
def test_the_signatures_of_the_page_are_those_of_the_functions(function):
    page = (ROOT / "docs" / "api.md").read_text()
    real = signature(getattr(modelscan, function))
    (signed,) = re.findall(rf"^`{function}\((.*)\) -> (\w+)`", page, re.MULTILINE)
    plain = [one.replace(annotation=Parameter.empty) for one in real.parameters.values()]
    text = str(Signature(plain)).replace(repr(DEFAULT), "DEFAULT")
    assert (f"({signed[0]})", signed[1]) == (text, real.return_annotation)


def test_the_examples_of_the_library_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    known = dict(CATALOGUE)
    code = "\n".join(re.findall(r"```pycon\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL))
    told = []
    try:
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(doctest.DocTestParser().get_doctest(code, {}, "docs/api.md", None, 0), out=told.append)
    finally:
        CATALOGUE.clear()
        CATALOGUE.update(known)
    assert runner.tries > 20
    assert not told, "".join(told)


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
