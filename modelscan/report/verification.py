"""A verification as text: what was compared, what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from modelscan.report.text import escape, number

_MOST = 40


class _Compared(Protocol):
    what: str
    aspect: str
    ours: Any
    theirs: Any


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
    def checks(self) -> Mapping[str, str] | None: ...
    @property
    def comparisons(self) -> Sequence[Any]: ...
    @property
    def differences(self) -> Sequence[Any]: ...


def verification_text(found: _Verified) -> str:
    """A line for the file and its framework, the framework's own checks, totals side by side, then every difference."""
    lines = [f"{escape(found.path)} · {escape(found.framework)} {escape(found.version)}".rstrip()]
    if found.note:
        lines.append(f"  {escape(found.note)}")
    for name, said in (found.checks or {}).items():
        lines.append(f"  {escape(name)}: {escape(said)}")
    if found.error is not None:
        lines.append(f"  not verified: {escape(found.error)}")
        return "\n".join(lines)
    for one in found.comparisons:
        if one.what in ("total", "trainable", "non_trainable"):
            lines.append(f"  {one.what:<14} ours {_value(one.ours):>16}   theirs {_value(one.theirs):>16}   {'✓' if one.agree else '✗'}")
    differing = list(found.differences)
    for one in differing[:_MOST]:
        lines.append(f"  ✗ {escape(one.what)}: {one.aspect}: ours {_value(one.ours)}, theirs {_value(one.theirs)}")
    if len(differing) > _MOST:
        lines.append(f"  … and {number(len(differing) - _MOST)} more")
    agreed = len(found.comparisons) - len(differing)
    lines.append(f"  {number(agreed)} of {number(len(found.comparisons))} figures agree" + ("" if differing else " ✓"))
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return number(value)
    return "none" if value is None else escape(str(value))
