"""MLflow model folders: which files the `MLmodel` beside them names, and whether its signature fits the model.

Source: `mlflow/models/model.py`, `mlflow/types/schema.py`. The file is YAML as PyYAML dumps it; the subset read here is mappings,
lists, plain and quoted scalars, and text wrapped over lines; in braces and brackets what stands on one line or is the whole file. No tag,
anchor or alias is followed.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.limits import DEFAULT, Limits
from modelscan.model import Model, Observation, Shape, TensorInfo, shape_text

NAME = "MLmodel"
_LEVELS = 3
"""How far above a model's file its `MLmodel` may lie (`data/model/saved_model.pb`)."""
_FLAVOURS = {
    "onnx": ("data",),
    "keras": ("data",),
    "tensorflow": ("data", "saved_model_dir"),
}
"""Keys of a flavour that name its file or folder."""
_INSIDE = ("model.keras", "model.h5", "model", "saved_model.pb", "model.onnx")
"""What a flavour's folder holds."""
_OPENS = re.compile(r"""(?:: |- )(['"])""")
_FLOW_SCALAR = re.compile(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^\s,\[\]{}'":#&*!|>%@`?-](?:[^,\[\]{}:]|:(?! ))*|-[^\s,\[\]{}:]+""")
"""In braces: quoted, or plain up to the next comma, bracket, or colon with a blank behind it."""
_UNESCAPED = re.compile(r'(?<!\\)(?:\\\\)*"')
_LINE = re.compile(r"""^(?P<indent> *)(?P<dash>-(?: +|$))?(?:(?P<key>"[^"]*"|'[^']*'|[^\s#:'"\[{][^:#]*?):(?: +|$))?(?P<value>.*)$""")


def read(folder: str, limits: Limits = DEFAULT) -> Mapping[str, Any]:
    """The `MLmodel` of a folder; raises `UnreadableFile` where it cannot be read or is not as MLflow writes it."""
    path = os.path.join(folder, NAME)
    try:
        info = os.lstat(path)
        if not stat.S_ISREG(info.st_mode):
            raise UnreadableFile("not-a-regular-file", "no regular file; it was not opened")
        if info.st_size > limits.mlmodel_bytes:
            raise LimitExceeded("mlmodel_bytes", info.st_size, limits.mlmodel_bytes)
        with open(path, encoding="utf-8") as file:
            found = parse(file.read(limits.mlmodel_bytes), limits.mlmodel_depth)
    except OSError as error:
        raise UnreadableFile("unreadable-file", error.strerror or str(error)) from error
    except ValueError as error:
        raise UnreadableFile("unknown-format", "not as MLflow writes it, and was not followed") from error
    if not isinstance(found.get("flavors"), Mapping):
        raise UnreadableFile("unknown-format", "names no flavors")
    return found


def parse(text: str, most_deep: int = DEFAULT.mlmodel_depth) -> dict[str, Any]:
    """A YAML mapping of the subset; raises `ValueError` for anything else, nesting beyond `most_deep` included."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#") and line != "---"]
    if lines and lines[0].startswith("{"):
        value, after = _flow(" ".join(lines), most_deep), len(lines)
        joined = lines
    else:
        joined = _joined(lines)
        value, after = _block(joined, 0, most_deep) if joined else ({}, 0)
    if not isinstance(value, dict) or after < len(joined):
        raise ValueError("no mapping")
    return value


def _joined(lines: list[str]) -> list[str]:
    """Lines with quoted text that PyYAML wrapped put together again."""
    joined: list[str] = []
    parts: list[str] = []
    quote = ""
    for line in lines:
        if parts:
            parts[-1] = parts[-1].removesuffix("\\")
            parts.append(line.strip().removeprefix("\\"))
        else:
            parts = [line]
            match = _OPENS.search(line)
            quote = match[1] if match else ""
        if not quote or _is_even(parts[-1], quote) == (len(parts) == 1):
            joined.append(" ".join(parts))
            parts = []
    if parts:
        raise ValueError("a text without end")
    return joined


def _is_even(text: str, quote: str) -> bool:
    """Whether a line closes the quotes that it opens; a doubled single quote and an escaped double one are text."""
    return (text.count(quote) if quote == "'" else len(_UNESCAPED.findall(text))) % 2 == 0


def _block(lines: list[str], at: int, left: int) -> tuple[Any, int]:
    """The value that begins at a line, and the line after it; `left` levels may be below it."""
    if left < 0:
        raise ValueError("nested too deep")
    first = _match(lines[at])
    indent, is_list = len(first["indent"]), bool(first["dash"])
    items: list[Any] = []
    mapping: dict[str, Any] = {}
    while at < len(lines):
        match = _match(lines[at])
        if len(match["indent"]) < indent:
            break
        if len(match["indent"]) > indent or bool(match["dash"]) != is_list:
            if len(match["indent"]) == indent:
                break  # a list as deep as the key above it begins or ends
            raise ValueError(f"unexpected indentation: {lines[at]!r}")
        if is_list and match["key"] is not None:
            lines[at] = " " * match.end("dash") + lines[at][match.end("dash") :]
            value, at = _block(lines, at, left - 1)
            items.append(value)
            continue
        value, at = _value(lines, at, match, indent, left)
        if is_list:
            items.append(value)
        elif match["key"] is None:
            raise ValueError(f"neither key nor item: {lines[at - 1]!r}")
        else:
            mapping[_scalar(match["key"])] = value
    return (items if is_list else mapping), at


def _match(line: str) -> re.Match[str]:
    match = _LINE.match(line)
    if match is None:
        raise ValueError(f"not read: {line!r}")
    return match


def _value(lines: list[str], at: int, match: re.Match[str], indent: int, left: int) -> tuple[Any, int]:
    """What stands behind a key or dash: on its line, or as a block below it."""
    if match["value"]:
        text = match["value"].strip()
        return (_flow(text, left) if text[0] in "{[" else _scalar(text)), at + 1
    following = _match(lines[at + 1]) if at + 1 < len(lines) else None
    deeper = following is not None and (len(following["indent"]) > indent or (bool(following["dash"]) and not match["dash"]))
    if following is not None and deeper and len(following["indent"]) >= indent:
        return _block(lines, at + 1, left - 1)
    return None, at + 1


def _scalar(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return json.loads(text.replace("\\ ", " "))
    return {"null": None, "~": None, "true": True, "false": False}.get(text, text)


def _flow(text: str, most_deep: int) -> Any:
    """A value in braces or brackets, which stands on one line: `{onnx: {data: model.onnx}}`."""
    value, at = _flow_value(text, _blanks(text, 0), most_deep)
    if text[at:].strip() and not text[at:].lstrip().startswith("#"):
        raise ValueError(f"not read: {text[at:]!r}")
    return value


def _flow_value(text: str, at: int, left: int) -> tuple[Any, int]:
    """The value that begins at `at`, and where the blanks behind it end."""
    if left < 0:
        raise ValueError("nested too deep")
    closing = {"{": "}", "[": "]"}.get(text[at : at + 1])
    if closing is None:
        return _flow_scalar(text, at)
    items: list[Any] = []
    mapping: dict[Any, Any] = {}
    at = _blanks(text, at + 1)
    while text[at : at + 1] != closing:
        value, at = _flow_value(text, at, left - 1)
        if closing == "]":
            items.append(value)
        else:
            if text[at : at + 1] != ":" or not isinstance(value, str):
                raise ValueError("a key without a value")
            mapping[value], at = _flow_value(text, _blanks(text, at + 1), left - 1)
        if text[at : at + 1] == ",":
            at = _blanks(text, at + 1)
        elif text[at : at + 1] != closing:
            raise ValueError("neither a comma nor the end")
    return (items if closing == "]" else mapping), _blanks(text, at + 1)


def _flow_scalar(text: str, at: int) -> tuple[Any, int]:
    match = _FLOW_SCALAR.match(text, at)
    if match is None:
        raise ValueError("no value")
    return _scalar(match[0].strip()), _blanks(text, match.end())


def _blanks(text: str, at: int) -> int:
    while text[at : at + 1] == " ":
        at += 1
    return at


def flavour_paths(folder: str, described: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Paths of the model files that the flavours name, and what they name that leads out of the folder."""
    found: dict[str, None] = {}
    leading_out: list[str] = []
    flavours = described["flavors"]
    for flavour, keys in _FLAVOURS.items():
        settings = flavours.get(flavour)
        for key in keys if isinstance(settings, Mapping) else ():
            relative = settings.get(key)
            if not isinstance(relative, str):
                continue
            if os.path.isabs(relative) or ".." in relative.replace("\\", "/").split("/") or "\0" in relative:
                leading_out.append(relative)
            else:
                found[_model_in(os.path.join(folder, relative))] = None
    return list(found), leading_out


def _model_in(path: str) -> str:
    """The model in a flavour's folder, or the path itself."""
    if os.path.isdir(path) and not os.path.lexists(os.path.join(path, "saved_model.pb")):
        return next((inner for name in _INSIDE if os.path.lexists(inner := os.path.join(path, name))), path)
    return path


def check(path: str, model: Model) -> Iterator[Observation]:
    """Whether the signature of the MLflow model that a file belongs to fits it."""
    folder = os.path.dirname(os.path.abspath(path))
    for _ in range(_LEVELS):
        if os.path.lexists(os.path.join(folder, NAME)):
            try:
                described = read(folder)
            except UnreadableFile:  # told where the folder is searched
                return
            named = [os.path.abspath(one) for one in flavour_paths(folder, described)[0]]
            if os.path.abspath(path) in named and isinstance(described.get("signature"), Mapping):
                for side, own in (("inputs", model.inputs), ("outputs", model.outputs)):
                    for text in _differences(described["signature"].get(side), own):
                        yield Observation("mlflow-signature", f"MLmodel and the model differ in their {side}: {text}", where=NAME)
            return
        folder = os.path.dirname(folder)


def _differences(declared: Any, own: tuple[TensorInfo, ...]) -> Iterator[str]:
    specs = _tensors(declared)
    if not specs or not own:
        return
    if len(specs) != len(own):
        yield f"{len(specs)} declared, {len(own)} in the model"
        return
    by_name = {one.name: one for one in own}
    for index, (name, shape) in enumerate(specs):
        other = by_name.get(name or "", own[index])
        if name and name not in by_name and len(own) > 1:
            yield f"{name!r} is declared, the model has {', '.join(sorted(by_name))}"
        elif other.shape is not None and not _compatible(shape, other.shape):
            yield f"{name or other.name}: {shape_text(shape)} declared, {shape_text(other.shape)} in the model"


def _tensors(declared: Any) -> list[tuple[str | None, Shape]]:
    """Names and shapes of a signature of tensors; empty for one of columns."""
    try:
        entries = json.loads(declared) if isinstance(declared, str) else declared
        return [(one.get("name"), tuple(None if n < 0 else n for n in one["tensor-spec"]["shape"])) for one in entries or ()]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def _compatible(one: Shape, other: Shape) -> bool:
    return len(one) == len(other) and all(
        not isinstance(a, int) or not isinstance(b, int) or a == b for a, b in zip(one, other, strict=True)
    )
