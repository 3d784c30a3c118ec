"""Draws the pictures of the README: what commands print on a terminal, as SVG (`make docs`)."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
THEME = TerminalTheme(
    (24, 26, 31),
    (208, 212, 220),
    [(24, 26, 31), (240, 100, 105), (125, 190, 110), (225, 180, 90), (95, 165, 235), (190, 130, 220), (90, 190, 195), (208, 212, 220)],
    [
        (105, 112, 125),
        (255, 130, 135),
        (155, 215, 140),
        (245, 205, 120),
        (130, 190, 250),
        (215, 160, 245),
        (120, 215, 220),
        (255, 255, 255),
    ],
)
PICTURES = {
    "inspect": ("modelscan inspect fixtures/good/convolutional.keras", 118),
    "scan": ("modelscan scan fixtures/bad", 118),
}


def printed(command: str, columns: int) -> str:
    """What a command prints on a terminal of that width."""
    environment = os.environ | {"COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"}
    call = [sys.executable, "-m", *command.split(), "--color", "always"]
    done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.stdout


def picture(name: str, command: str, columns: int) -> str:
    """The SVG of a command and its output; the same bytes for the same output."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    for line in printed(command, columns).rstrip("\n").split("\n"):
        console.print(Text.from_ansi(line), no_wrap=True, crop=False)
    svg = console.export_svg(title=command.split()[0], theme=THEME, unique_id=f"modelscan-{name}")
    # A picture in a page cannot fetch fonts: the reader's own are named instead.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(
        r"font-family: ?Fira Code, ?monospace",
        "font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace",
        svg,
    )


def pictures() -> Iterator[tuple[Path, str]]:
    """Every picture with its content."""
    for name, (command, columns) in PICTURES.items():
        yield IMAGES / f"{name}.svg", picture(name, command, columns)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for path, text in pictures():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
