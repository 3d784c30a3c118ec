"""The direction of imports, what may not be imported at all, the size of modules, and the map in CONTRIBUTING."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "modelscan"

LEVELS = [
    {"records"},
    {"_version", "errors", "limits", "dtypes", "formula", "naming"},
    {"source", "model", "versions", "tables"},
    {"series"},
    {"graph", "topology", "program", "ledger", "mlflow", "wire", "values", "settings"},
    {"inline", "census", "repeats", "sums", "targets", "fingerprint", "failing"},
    {"formats", "layers", "accounting", "discover"},
    {"extend", "rules", "assemble", "valuecheck"},
    {"settingsfile"},
    {"examine", "config"},
    {"worker"},
    {"scan"},
    {"policy", "diff"},
    {"api"},
    {"report"},
    {"verify", "showing"},
    {"pytest_plugin"},
    {"cli"},
    {"__main__"},
]
"""Rooms from the ground up: a module imports from its own level (its own room) or below."""
LEVEL = {room: index for index, rooms in enumerate(LEVELS) for room in rooms}
ALLOWED_UP = {
    ("ledger", "report"): "`__str__` and `_repr_html_` of the plain data, imported when they are called",
    ("diff", "report"): "`__str__` of the plain data, imported when it is called",
    ("discover", "formats"): "the registry of suffixes",
    ("", "api"): "the public names, imported when they are used",
}
FRAMEWORKS = {"tensorflow", "keras", "tf_keras", "onnxruntime", "torch"}
FORBIDDEN = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imports_of(source: str):
    """Absolute module names that a source imports, at the top or anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "modelscan":
                for alias in node.names:
                    yield f"modelscan.{alias.name}"
            elif node.module:
                yield node.module


def upward(room: str, source: str):
    """Imports of `source`, which stands in `room`, that go up or across."""
    found = []
    for name in imports_of(source):
        if not name.startswith("modelscan"):
            continue
        target = name.split(".")[1] if "." in name else ""
        if target in ("__version__", "") or target == room or (room, target) in ALLOWED_UP:
            continue
        if room and room in LEVEL and (target not in LEVEL or LEVEL[target] >= LEVEL[room]):
            found.append(name)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = room_of(path)
    assert room == "" or room in LEVEL, f"{path} stands in no room of LEVELS"
    assert upward(room, path.read_text()) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("model", "from modelscan.accounting import reconcile"),
        ("formats", "import modelscan.layers.keras"),
        ("layers", "from modelscan import formats"),
        ("accounting", "def f():\n    from modelscan.rules import judge"),
        ("report", "from modelscan.cli import app"),
        ("rules", "from modelscan.report.table import render"),
    ],
)
def test_an_upward_import_is_caught(room, source):
    assert upward(room, source)


def test_nothing_imports_the_command_line():
    for path in modules():
        if room_of(path) not in ("cli", "__main__"):
            assert not [name for name in imports_of(path.read_text()) if name.startswith("modelscan.cli")], path


def test_frameworks_are_imported_by_the_oracle_alone():
    for path in modules():
        roots = {name.split(".")[0] for name in imports_of(path.read_text())}
        assert not roots & FORBIDDEN, path
        if path != PACKAGE / "verify" / "oracle.py":
            assert not roots & FRAMEWORKS, path


def test_modules_and_functions_stay_small():
    for path in modules():
        text = path.read_text()
        assert len(text.splitlines()) <= 400, f"{path} has outgrown one reading"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno + 1 <= 60, f"{path}: {node.name}"


def test_every_module_says_what_it_is_for():
    for path in modules():
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_the_map_in_contributing_names_every_module():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    block = text.split("<!-- map -->")[1]
    named = set(re.findall(r"^\s*`([\w/.]+)`", block, re.MULTILINE))
    real = {str(path.relative_to(PACKAGE)) for path in modules()}
    assert named == real, f"missing {sorted(real - named)}, gone {sorted(named - real)}"


def test_the_source_distribution_has_what_its_tests_read():
    """Whoever packages it for a distribution runs the tests from there."""
    included = {*tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]}
    named = {name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r'\bROOT / "([^"]+)"', path.read_text())}
    there = {name for name in named if (ROOT / name).exists()}
    assert there <= included | {"pyproject.toml"}
    assert all((ROOT / name).exists() for name in included)
