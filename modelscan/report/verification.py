"""A verification as text: our figures and the framework's side by side, every difference below its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from modelscan.report.text import Style, escape, number, pad, shape, shorten, width

_SHOWN = ("parameters", "output shape", "shape", "dtype", "stored", "layer", "names")
"""Aspects that stand in the columns; the others are named where they differ."""
_LEAST = 16


class _Compared(Protocol):
    @property
    def what(self) -> str: ...
    @property
    def aspect(self) -> str: ...
    @property
    def ours(self) -> Any: ...
    @property
    def theirs(self) -> Any: ...
    @property
    def agree(self) -> bool: ...


class _Verified(Protocol):
    """What this view needs of a `verify.Verification`; `report` does not import `verify`."""

    @property
    def path(self) -> str: ...
    @property
    def framework(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def error(self) -> str | None: ...
    @property
    def note(self) -> str | None: ...
    @property
    def checks(self) -> Mapping[str, str]: ...
    @property
    def comparisons(self) -> Sequence[_Compared]: ...
    @property
    def differences(self) -> Sequence[_Compared]: ...


def verification_text(found: _Verified, style: Style) -> str:
    """A title, the framework's own checks, a line for each thing compared, every difference, the sum."""
    framework = f"{found.framework} {found.version}".strip()
    title = [style.paint(escape(found.path), "bold")] + ([] if found.framework == "none" else [escape(framework)])
    lines = [" · ".join(title)]
    lines += [f"  {escape(found.note)}"] if found.note else []
    lines += [f"  {escape(name)}: {escape(said)}" for name, said in found.checks.items()]
    if found.error is not None:
        lines.append(f"  not verified: {escape(found.error)}")
        return style.finish("\n".join(lines))
    if found.comparisons:
        lines += ["", *_table(found, style), ""]
    agreed = len(found.comparisons) - len(found.differences)
    mark = style.paint("✗", "red") if found.differences else style.paint("✓", "green")
    lines.append(f"  {mark} {number(agreed)} of {number(len(found.comparisons))} figures agree")
    return style.finish("\n".join(line.rstrip() for line in lines))


def _table(found: _Verified, style: Style) -> Iterator[str]:
    groups: dict[str, list[_Compared]] = {}
    for one in found.comparisons:
        groups.setdefault(one.what, []).append(one)
    rows = [
        (escape(what), _cell((one.aspect, one.ours) for one in group), _cell((one.aspect, one.theirs) for one in group))
        for what, group in groups.items()
    ]
    heads = ("", "modelscan", escape(found.framework))
    wide = [max(width(heads[index]), *(width(row[index]) for row in rows)) for index in range(3)]
    room = style.columns - 9
    wide[0] = max(min(wide[0], _LEAST), wide[0] - max(0, sum(wide) - room))  # names give way first
    if sum(wide) > room:
        wide[1] = wide[2] = max(_LEAST // 2, (room - wide[0]) // 2)
    yield _line(heads, wide).rstrip()
    yield " " + style.paint("─" * min(style.columns - 1, sum(wide) + 9), "dim")
    for row, group in zip(rows, groups.values(), strict=True):
        differing = [one for one in group if not one.agree]
        yield _line(row, wide) + "  " + (style.paint("✗", "red") if differing else style.paint("✓", "green"))
        for one in differing:
            said = f"{one.aspect}: modelscan {_value(one.ours)}, {escape(found.framework)} {_value(one.theirs)}"
            yield f"      {style.paint('✗', 'red')} {said}"


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    return "  " + "  ".join(pad(shorten(cell, columns), columns) for cell, columns in zip(cells, wide, strict=True))


def _cell(values: Any) -> str:
    parts = [_value(value) for aspect, value in values if aspect in _SHOWN and value is not None]
    return " ".join(parts) or "-"


def _value(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool() | str():
            return escape(str(value))
        case int():
            return number(value)
        case [list(), *_]:
            return ", ".join(_value(one) for one in value)
        case [str(first), *_]:
            return ", ".join(escape(str(one)) for one in value) if first else escape(str(value))
        case list():
            return shape(value)
        case _:
            return escape(str(value))
