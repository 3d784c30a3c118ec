"""Writes what is generated: a page per rule family from the docstrings, and the map of the house in CONTRIBUTING (`make docs`)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from modelscan.rules import all_rules

ROOT = Path(__file__).parent.parent
FAMILIES = {
    "FIL": "File and container",
    "GRF": "Graph",
    "PAR": "Parameters: formula against stored",
    "SEC": "Safety",
    "WGT": "Weight values",
    "DEP": "Deployability",
    "POL": "Budget and policy",
}
MARK = "<!-- map -->"


def pages() -> Iterator[tuple[Path, str]]:
    """Every generated file with its content."""
    index = ["# Rules", "", "`modelscan rules` lists them, `modelscan rule CODE` prints one.", ""]
    for family, title in FAMILIES.items():
        chosen = [rule for rule in all_rules() if rule.code.startswith(family)]
        if not chosen:
            continue
        page = [f"# {family}: {title}", ""]
        index += [f"## [{family}: {title}]({family.lower()}.md)", "", "| Code | Name | Severity | |", "|---|---|---|---|"]
        for rule in chosen:
            summary, _, rest = rule.documentation().partition("\n")
            index.append(f"| {rule.code} | {rule.name} | {rule.severity} | {summary} |")
            page += [f"## {rule.code} {rule.name}", "", f"Severity: {rule.severity}. {summary}", "", *_sections(rest), ""]
        index.append("")
        yield ROOT / "docs" / "rules" / f"{family.lower()}.md", "\n".join(page).rstrip() + "\n"
    yield ROOT / "docs" / "rules" / "index.md", "\n".join(index).rstrip() + "\n"
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    before, _, after = contributing.split(MARK)
    yield ROOT / "CONTRIBUTING.md", f"{before}{MARK}\n\n{house()}\n\n{MARK}{after}"


def _sections(text: str) -> list[str]:
    """The headings of a rule's docstring in bold, their text below."""
    lines = []
    for line in text.strip().splitlines():
        heading = re.fullmatch(r"(\w[\w ]+):", line)
        lines.append(f"**{heading[1]}.**" if heading else line.strip())
    return lines


def house() -> str:
    """Every module with the first line of its docstring, by folder."""
    lines = []
    package = ROOT / "modelscan"
    for path in sorted(package.rglob("*.py"), key=lambda one: (str(one.parent), one.name)):
        said = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
        lines.append(f"`{path.relative_to(package)}` {said}  ")
    return "\n".join(lines)


def main() -> None:
    for path, text in pages():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
