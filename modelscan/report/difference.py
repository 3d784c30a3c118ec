"""What changed between two models, as text and as markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelscan.diff import Change, Diff
from modelscan.report.text import Style, escape, number, pad, shorten, size, width

_MOST = 200
"""Changes that are written out; the rest is counted."""
_SIGNS = {"added": "+", "removed": "-"}
_COLOURS = {"+": "green", "-": "red", "~": "yellow"}
_FIGURES = {"parameters": number, "trainable": number, "weight_bytes": size, "macs": number, "layers": number, "file_bytes": size}


def difference_text(found: Diff, style: Style) -> str:
    """Title, totals, changes by place, summary."""
    lines = [style.paint(f"{escape(found.before)} → {escape(found.after)}", "bold")]
    if found.error is not None:
        return style.finish("\n".join([*lines, "", f"  {escape(found.error)}"]))
    lines += ["", *(f"  {pad(name, 14)} {text}" for name, text in _totals(found))]
    if found.changes:
        lines += ["", *_lines(found, style)]
    return style.finish(
        "\n".join([*lines, "", *(f"  {one}" for one in _summary(found)), *(f"  note: {escape(one)}" for one in found.notes)])
    )


def difference_markdown(found: Diff) -> str:
    """The same for a pull request."""
    lines = [f"### `{_code(found.before)}` → `{_code(found.after)}`", ""]
    if found.error is not None:
        return "\n".join([*lines, _cell(found.error)])
    lines += ["| | before | after |", "|---|---|---|"]
    for name, (before, after) in found.totals.items():
        write = _FIGURES[name]
        lines.append(f"| {name.replace('_', ' ')} | {write(before)} | {write(after)} |")
    if found.changes:
        lines += ["", "| | where | what | before | after |", "|---|---|---|---|---|"]
        for one in found.changes[:_MOST]:
            where = f"`{_code(one.name)}`" if one.name else one.scope
            lines.append(f"| {_sign(one)} | {where} | {_cell(one.aspect)} | {_cell(_told(one.before))} | {_cell(_told(one.after))} |")
        if len(found.changes) > _MOST:
            lines += ["", f"and {len(found.changes) - _MOST:,} more"]
    return "\n".join([*lines, "", *_summary(found), *(f"Note: {_cell(one)}" for one in found.notes)])


def _totals(found: Diff) -> Iterator[tuple[str, str]]:
    for name, (before, after) in found.totals.items():
        write = _FIGURES[name]
        if before is None and after is None:
            continue
        text = write(after) if before == after else f"{write(before)} → {write(after)}"
        yield name.replace("_", " "), text


def _lines(found: Diff, style: Style) -> Iterator[str]:
    shown = found.changes[:_MOST]
    wide = min(max(width(_place(one)) for one in shown), max(20, style.columns // 3))
    for one in shown:
        sign = _sign(one)
        what = one.aspect if sign == "~" else ""
        both = sign == "~"
        values = " → ".join(escape(_told(value)) or "none" for value in (one.before, one.after) if both or value is not None)
        text = f"{escape(what)}: {values}" if what and values else what or values
        room = max(20, style.columns - wide - 6)
        yield f"  {style.paint(sign, _COLOURS[sign])} {pad(shorten(_place(one), wide), wide)}  {shorten(text, room)}"
    if len(found.changes) > _MOST:
        yield f"  and {len(found.changes) - _MOST:,} more"


def _place(one: Change) -> str:
    if not one.name:
        return one.scope
    return f"{escape(one.name)} ({escape(one.type)})" if one.type else f"{one.scope} {escape(one.name)}"


def _sign(one: Change) -> str:
    return _SIGNS.get(one.aspect, "~")


def _told(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return " ".join(f"{key}={_told(one)}" if key else _told(one) for key, one in value.items())
    return str(value)


def _summary(found: Diff) -> list[str]:
    if found.same:
        more = " and hold the same values" if found.equal_values is not None else ""
        return [f"no difference: {found.paired:,} layers agree{more}"]
    counts = {sign: sum(_sign(one) == sign for one in found.changes) for sign in _COLOURS}
    text = f"{counts['~']:,} changed · {counts['+']:,} added · {counts['-']:,} removed"
    text += f" · {found.unchanged:,} of {found.paired:,} layers unchanged"
    if found.equal_values is not None:
        text += f" · {found.equal_values:,} with equal values"
    return [text]


def _cell(text: str) -> str:
    """Text in a markdown table: nothing in it may end the cell or be markup."""
    return "".join(f"\\{c}" if c in "|\\`*_<>[]" else c for c in escape(text))


def _code(text: str) -> str:
    return escape(text).replace("`", "'").replace("|", "\\|")
