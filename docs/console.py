"""Commands in the pages with what they print: runs them and writes it down anew (`make docs`)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("commands", "custom-layers", "output")))
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def printed(command: str) -> str:
    """What a command line prints on standard output, 120 columns wide."""
    program = re.sub(r"^modelscan\b", f"'{sys.executable}' -m modelscan", command)
    done = subprocess.run(
        ["bash", "-c", program], cwd=ROOT, env=os.environ | {"COLUMNS": "120"}, capture_output=True, encoding="utf-8", check=False
    )
    return done.stdout.rstrip()


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """The commands of a page with what it shows for them."""
    for block in _BLOCK.findall(page.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("modelscan "):
                yield command, output.rstrip()


def refreshed(page: Path) -> str:
    """The page with what its commands print now."""

    def block(found: re.Match[str]) -> str:
        text = ""
        for part in re.split(r"^\$ ", found[1], flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            text += f"$ {command}\n" + (f"{printed(command)}\n" if command.startswith("modelscan ") else output)
        return f"```console\n{text}```"

    return _BLOCK.sub(block, page.read_text())


def main() -> None:
    for page in PAGES:
        page.write_text(refreshed(page))


if __name__ == "__main__":
    main()
