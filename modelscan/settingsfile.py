"""From the tables of `modelscan.toml` to `Settings`: each key here is the one place that knows its name and form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.dtypes import BITS
from modelscan.errors import ConfigError
from modelscan.model import Severity
from modelscan.rules import all_rules
from modelscan.settings import (
    FAMILIES,
    Budget,
    Demands,
    Requirements,
    Settings,
    Suppression,
    Target,
    Thresholds,
    Wanted,
    WantedTensor,
)
from modelscan.tables import Table, suggestion, told
from modelscan.versions import Versions

NEVER = "never"
FORMATS = ("onnx", "keras", "keras-h5", "keras-weights", "savedmodel", "checkpoint", "graphdef")
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "keras")
_TARGET = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(.*)")


def settings_of(data: Mapping[str, Any], origins: Mapping[str, str], *, root: str, source: str | None) -> Settings:
    """The settings of merged tables; `origins` says by key where each comes from. Raises `ConfigError`."""
    top = _Top(data, origins)
    found = Settings(
        fail_on=_thresholds(top),
        select=_rules(top, "select"),
        ignore=_rules(top, "ignore"),
        exclude=top.texts("exclude"),
        per_file_ignores=_per_file(top),
        suppressions=tuple(_suppression(one) for one in top.tables("suppressions") or ()),
        demands=_all_demands(top),
        baseline=top.text("baseline"),
        values=top.flag("values") or False,
        jobs=top.count("jobs", least=1),
        layers=_layers(top),
        plugins=top.texts("plugins"),
        root=root,
        source=source,
        origins=dict(origins),
    )
    top.finish()
    return found


class _Top(Table):
    """The outermost table: its place depends on where the key comes from."""

    def __init__(self, data: Mapping[str, Any], origins: Mapping[str, str]) -> None:
        self.origins = origins
        super().__init__(data, next(iter(origins.values()), "settings"))

    def raw(self, key: str) -> Any:
        self.place = self.origins.get(key, self.place)
        return super().raw(key)

    def finish(self) -> None:
        for key in self.data:
            if key not in self.known:
                self.place = self.origins.get(key, self.place)
                super().finish()


def _thresholds(top: Table) -> Thresholds:
    words = [*map(str, Severity), NEVER]
    value = top.raw("fail-on")
    if value is None:
        return Thresholds()
    if isinstance(value, str):
        value = {"default": value}
    if not isinstance(value, Mapping):
        raise top.fail("fail-on", f"expected a severity or a table of them by family, not {told(value)}")
    table = Table(value, top.where("fail-on"))
    chosen = {key: table.text(key, words) for key in ("default", *FAMILIES)}
    table.finish()
    levels = {key: None if word == NEVER else Severity(word) for key, word in chosen.items() if word is not None}
    return Thresholds(levels.pop("default", Severity.HIGH), levels)


def _rules(table: Table, key: str) -> tuple[str, ...]:
    return tuple(rule_selector(one, table.where(key)) for one in table.texts(key))


def rule_selector(word: str, place: str) -> str:
    """A rule's code, the beginning of codes or a rule's name, as it is compared; `ConfigError` when no rule is meant."""
    codes, names = {rule.code for rule in all_rules()}, {rule.name for rule in all_rules()}
    if word.lower() in names:
        return word.lower()
    if word and (word.upper() in FAMILIES or any(code.startswith(word.upper()) for code in codes)):
        return word.upper()
    raise ConfigError(f"{place}: {word!r} is no rule's code, beginning of a code or name{suggestion(word, (*codes, *names))}")


def _per_file(top: Table) -> dict[str, tuple[str, ...]]:
    table = top.table("per-file-ignores")
    return {} if table is None else {pattern: _rules(table, pattern) for pattern in table.data}


def _suppression(table: Table) -> Suppression:
    found = Suppression(
        rule=rule_selector(table.required("rule"), f"{table.place}: rule"),
        reason=table.required("reason").strip(),
        path=table.text("path") or "**",
        layer=table.text("layer"),
        expires=table.day("expires"),
    )
    table.finish()
    return found


def _layers(top: Table) -> dict[str, Mapping[str, Any]]:
    table = top.table("layers")
    if table is None:
        return {}
    for name, value in table.data.items():
        if not isinstance(value, Mapping):
            raise table.fail(name, f"expected a table, not {told(value)}")
    return dict(table.data)


def _all_demands(top: Table) -> tuple[Demands, ...]:
    general = Demands(budget=_budget(top), require=_requirements(top), against=top.text("against"))
    found = [] if general == Demands() else [general]
    for table in top.tables("models") or ():
        found.append(Demands(table.required("path"), _budget(table), _requirements(table), table.text("against")))
        table.finish()
    return tuple(found)


def _budget(above: Table) -> Budget:
    table = above.table("budget")
    if table is None:
        return Budget()
    per_type = table.table("dtypes")
    limits = {} if per_type is None else {key: amount for key in BITS if (amount := per_type.count(key)) is not None}
    if per_type is not None:
        per_type.finish()
    found = Budget(
        parameters=table.count("parameters"),
        bytes=table.size("bytes"),
        file_bytes=table.size("file-bytes"),
        macs=table.count("macs"),
        layers=table.count("layers"),
        dtypes=limits,
    )
    table.finish()
    return found


def _requirements(above: Table) -> Requirements:
    table = above.table("require")
    if table is None:
        return Requirements()
    found = Requirements(
        formats=table.texts("formats", FORMATS),
        opsets=_opsets(table),
        ir_version=_versions(table, "ir-version"),
        dtypes=table.texts("dtypes", BITS),
        operators=table.texts("operators"),
        runtimes=tuple(_target(one, table) for one in table.texts("runtimes")),
        dynamic_batch=table.flag("dynamic-batch"),
        explained=table.percent("explained"),
        independent=table.percent("independent"),
        inputs=_tensors(table, "inputs"),
        outputs=_tensors(table, "outputs"),
    )
    table.finish()
    return found


def _opsets(table: Table) -> dict[str, Versions]:
    value = table.raw("opset")
    if value is None:
        return {}
    by_domain = value if isinstance(value, Mapping) else {"ai.onnx": value}
    inner = Table(by_domain, f"{table.place}: opset" if isinstance(value, Mapping) else table.place)
    found = {}
    for domain in by_domain:
        found[domain or "ai.onnx"] = _range(by_domain[domain], inner, domain if isinstance(value, Mapping) else "opset")
    return found


def _versions(table: Table, key: str) -> Versions | None:
    value = table.raw(key)
    return None if value is None else _range(value, table, key)


def _range(value: Any, table: Table, key: str) -> Versions:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise table.fail(key, f"expected a range such as '>=13,<=17', not {told(value)}")
    try:
        return Versions.parse(str(value))
    except ConfigError as error:
        raise table.fail(key, str(error)) from error


def _target(text: str, table: Table) -> Target:
    found = _TARGET.fullmatch(text)
    name = found[1].lower() if found else ""
    if found is None or name not in RUNTIMES:
        raise table.fail(
            "runtimes", f"{text!r} is no runtime; write {' or '.join(f'{one}>=1.2' for one in RUNTIMES)}{suggestion(name, RUNTIMES)}"
        )
    if not found[2].strip():
        raise table.fail("runtimes", f"{text!r} has no version; write {name}>=1.2 or {name}==1.2")
    return Target(name, _range(found[2], table, "runtimes"))


def _tensors(above: Table, key: str) -> tuple[WantedTensor, ...] | None:
    tables = above.tables(key)
    if tables is None:
        return None
    found = []
    for table in tables:
        found.append(WantedTensor(table.required("name"), table.text("dtype", BITS), _shape(table)))
        table.finish()
    return tuple(found)


def _shape(table: Table) -> Wanted | None:
    value = table.raw("shape")
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(_is_dimension(one) for one in value):
        raise table.fail("shape", f"expected sizes, '?' (dynamic), '*' (any) or names, such as ['?', 3, 224, 224], not {told(value)}")
    return tuple(value)


def _is_dimension(one: Any) -> bool:
    return (isinstance(one, int) and not isinstance(one, bool) and one >= 0) or (isinstance(one, str) and bool(one.strip()))
