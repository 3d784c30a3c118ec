"""A table of the configuration, read key by key: types checked, keys that nobody asked for told with what they may have meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from modelscan.errors import ConfigError

_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_SIZES = {"": 1, "b": 1} | {
    f"{letter}{unit}": base**power
    for unit, base in (("b", 1000), ("ib", 1024))
    for power, letter in enumerate(("k", "m", "g", "t"), start=1)
}
_AMOUNT = re.compile(r"(\d{1,30}(?:\.\d{1,9})?)\s*([a-z]*)")


_OPTIONS = {
    ("--require: runtimes", "runtimes"): "--target",
    ("--require", "runtimes"): "--target",
    ("MODELSCAN_FAIL_ON", "default"): "MODELSCAN_FAIL_ON",
    ("--fail-on", "default"): "--fail-on",
}
"""Where a value came from, if the option has another name than the key."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` when something known is like it."""
    near = get_close_matches(word.lower(), {one.lower(): one for one in known}, n=1, cutoff=0.6)
    by_lower = {one.lower(): one for one in known}
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


class Table:
    """One table; `place` says where it stands, for the messages."""

    def __init__(self, data: Mapping[str, Any], place: str) -> None:
        self.data = data
        self.place = place
        self.known: list[str] = []

    def fail(self, key: str, text: str) -> ConfigError:
        """The error about one key."""
        return ConfigError(f"{self.where(key)}: {text}")

    def where(self, key: str) -> str:
        """The place of a key; an option or a variable names it already."""
        own = self.place.lower().replace("_", "-")
        if (self.place, key) in _OPTIONS:
            return _OPTIONS[self.place, key]
        return self.place if own in (f"--{key}", f"modelscan-{key}") else f"{self.place}: {key}"

    def raw(self, key: str) -> Any:
        """The value as it stands; None when it is not there."""
        self.known.append(key)
        return self.data.get(key)

    def text(self, key: str, choices: Iterable[str] = ()) -> str | None:
        """A text; one of `choices` where there are any."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.fail(key, f"expected a text, not {told(value)}")
        offered = list(choices)
        if offered and value not in offered:
            raise self.fail(key, f"{value!r} is none of {', '.join(offered)}{suggestion(value, offered)}")
        return value

    def required(self, key: str) -> str:
        """A text that must be there and must say something."""
        value = self.text(key)
        if value is None or not value.strip():
            raise ConfigError(f"{self.place}: {key} is missing" if value is None else f"{self.place}: {key} is empty")
        return value

    def texts(self, key: str, choices: Iterable[str] = ()) -> tuple[str, ...]:
        """A list of texts; a single text is a list of one."""
        value = self.raw(key)
        listed = [value] if isinstance(value, str) else value if value is not None else []
        if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
            raise self.fail(key, f"expected a list of texts, not {told(value)}")
        offered = list(choices)
        for one in listed:
            if offered and one not in offered:
                raise self.fail(key, f"{one!r} is none of {', '.join(offered)}{suggestion(one, offered)}")
        return tuple(listed)

    def flag(self, key: str) -> bool | None:
        """true or false."""
        value = self.raw(key)
        if value is not None and not isinstance(value, bool):
            raise self.fail(key, f"expected true or false, not {told(value)}")
        return value

    def count(self, key: str, least: int = 0) -> int | None:
        """A whole number, also as `25M`."""
        return self._amount(key, _COUNTS, "a number such as 4" if least else "a number such as 1_500_000 or 1.5M", least)

    def size(self, key: str) -> int | None:
        """A number of bytes, also as `100 MiB`."""
        return self._amount(key, _SIZES, "a size such as 1_048_576, 500 kB or 100 MiB", 0)

    def percent(self, key: str) -> float | None:
        """A percentage: 99, 99.5 or `99 %`."""
        value = self.raw(key)
        if value is None:
            return None
        number = value
        if isinstance(value, str):
            found = re.fullmatch(r"\s*(?:>=\s*)?(\d{1,3}(?:\.\d{1,9})?)\s*%\s*", value)
            number = float(found[1]) if found else None
        elif isinstance(value, bool) or not isinstance(value, int | float) or 0 < value <= 1:
            raise self.fail(key, f"expected a percentage such as 99 or '99 %', not {told(value)}")
        if number is None or not 0 <= number <= 100:
            raise self.fail(key, f"expected a percentage such as 99 or '99 %', not {told(value)}")
        return float(number)

    def day(self, key: str) -> date | None:
        """A date, as TOML writes one or as text."""
        value = self.raw(key)
        if isinstance(value, str):
            try:
                value = date.fromisoformat(value)
            except ValueError as error:
                raise self.fail(key, f"expected a date such as 2030-12-31, not {value!r}") from error
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        raise self.fail(key, f"expected a date such as 2030-12-31, not {told(value)}")

    def table(self, key: str) -> Table | None:
        """A table below this one."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.fail(key, f"expected a table, not {told(value)}")
        return Table(value, self.where(key))

    def tables(self, key: str) -> list[Table] | None:
        """A list of tables below this one."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or not all(isinstance(one, Mapping) for one in value):
            raise self.fail(key, f"expected a list of tables ([[{key}]]), not {told(value)}")
        return [Table(one, f"{self.where(key)}[{index}]") for index, one in enumerate(value)]

    def finish(self) -> None:
        """Complain about the keys that nobody asked for."""
        for key in self.data:
            if key not in self.known:
                raise ConfigError(f"{self.place}: there is no key {key!r}{suggestion(key, self.known) or _choice(self.known)}")

    def _amount(self, key: str, units: Mapping[str, int], example: str, least: int) -> int | None:
        value = self.raw(key)
        if value is None:
            return None
        number: int | None = None
        if isinstance(value, int) and not isinstance(value, bool):
            number = value
        elif isinstance(value, str):
            found = _AMOUNT.fullmatch(value.strip().lower().replace("_", "").replace(",", ""))
            if found is not None and found[2] in units:
                whole, _, part = found[1].partition(".")
                if units[found[2]] > 1 or not part.strip("0"):  # half a parameter or byte is none
                    number = int(whole + part) * units[found[2]] // 10 ** len(part)
        if number is None or number < least:
            raise self.fail(key, f"expected {example}{f', {least} at least' if least else ''}, not {told(value)}")
        return number


def told(value: Any) -> str:
    """A wrong value in a message, short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _choice(known: Iterable[str]) -> str:
    return f"; the keys are {', '.join(sorted(known))}"


def toml(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        import json

        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml_key(str(key))} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return str(value)


def toml_key(key: str) -> str:
    """A key as TOML writes it."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml(key)
