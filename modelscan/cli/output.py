"""Where a scan is written and how: `--format`, `-o FILE`, `-o FORMAT:FILE`, several at once."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import IO, TYPE_CHECKING

from modelscan.cli.common import Colour, emit, style_of, usage_error
from modelscan.records import record

if TYPE_CHECKING:
    from modelscan.ledger import ModelReport, Report
    from modelscan.report.jsonl import JsonLines
    from modelscan.settings import Thresholds

STDOUT = "-"
_FILE_COLUMNS = 120


class ScanFormat(StrEnum):
    """Views of a scan."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    SARIF = "sarif"
    JUNIT = "junit"
    MARKDOWN = "markdown"
    GITHUB = "github"


_NAMES = frozenset(one.value for one in ScanFormat)
_SUFFIXES = {
    ".json": ScanFormat.JSON,
    ".jsonl": ScanFormat.JSONL,
    ".ndjson": ScanFormat.JSONL,
    ".sarif": ScanFormat.SARIF,
    ".sarif.json": ScanFormat.SARIF,
    ".xml": ScanFormat.JUNIT,
    ".md": ScanFormat.MARKDOWN,
    ".markdown": ScanFormat.MARKDOWN,
    ".txt": ScanFormat.TABLE,
}
_VAGUE = frozenset({".json", ".txt"})
"""Suffixes that leave it to `--format` what is in the file."""


@record(frozen=True, slots=True)
class Output:
    """One report: its format and its file."""

    format: ScanFormat
    path: str


def outputs_of(wanted: Iterable[str], format: ScanFormat | None) -> list[Output]:
    """The reports to write: the files, and what goes to standard output.

    A file's format is what it says itself (`junit:report.xml`), else `--format`, else its suffix. Standard output gets the table,
    unless `-o -` or `--format` says otherwise; a `--format` that a file took is the file's, and standard output stays empty.
    """
    outputs = []
    taken = False
    for value in wanted:
        prefix, colon, path = value.partition(":")
        if colon and path and prefix in _NAMES:
            outputs.append(Output(ScanFormat(prefix), path))
            continue
        own = None if value == STDOUT else _by_suffix(value)
        taken = taken or format is not None
        outputs.append(Output(_chosen(value, own, format), value))
    if not any(one.path == STDOUT for one in outputs) and not taken:
        outputs.append(Output(format or ScanFormat.TABLE, STDOUT))
    places = [one.path if one.path == STDOUT else os.path.realpath(one.path) for one in outputs]
    for one, place in zip(outputs, places, strict=True):
        if places.count(place) > 1:
            usage_error(f"-o {one.path}: two reports cannot go to one place")
    return outputs


def _chosen(value: str, own: ScanFormat | None, format: ScanFormat | None) -> ScanFormat:
    if format is None:
        if own is None and value != STDOUT:
            usage_error(f"-o {value}: its name tells no format; write FORMAT:FILE, such as sarif:{value}")
        return own or ScanFormat.TABLE
    vague = os.path.splitext(value)[1].lower() in _VAGUE
    if own not in (None, format) and not vague:
        usage_error(f"-o {value}: the name says {own}, --format {format}; write {own}:{value} or {format}:{value}")
    return format


def _by_suffix(path: str) -> ScanFormat | None:
    name = os.path.basename(path).lower()
    return next((_SUFFIXES[suffix] for suffix in sorted(_SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), None)


class Outputs:
    """Takes the models of a scan one by one and writes all reports. Keeps no more of them than the formats need."""

    def __init__(self, outputs: Iterable[Output], fail_on: Thresholds, colour: Colour) -> None:
        """`fail_on` tells which findings fail the gate."""
        from modelscan.report.json import JsonDocument

        self._outputs = list(outputs)
        self._fail_on = fail_on
        self._colour = colour
        self._kept: list[ModelReport] = []
        self._document = JsonDocument() if any(one.format is ScanFormat.JSON for one in self._outputs) else None
        self._keeps = any(one.format is not ScanFormat.JSONL for one in self._outputs)
        self._files = ExitStack()
        self._streams: list[JsonLines] = []

    @contextmanager
    def opened(self) -> Iterator[Outputs]:
        """Asks of every file whether it can be written, before hours are spent; closes at the end what was written meanwhile."""
        from modelscan.report.jsonl import JsonLines

        with self._files:
            for one in self._outputs:
                if one.path != STDOUT:
                    _writable(one.path)
                if one.format is ScanFormat.JSONL:
                    self._streams.append(JsonLines(emit if one.path == STDOUT else self._appender(one.path)))
            yield self

    @property
    def paths(self) -> list[str]:
        """The files that are written."""
        return [one.path for one in self._outputs if one.path != STDOUT]

    @property
    def brief(self) -> bool:
        """Whether brief reports are enough."""
        return all(one.format not in (ScanFormat.JSON, ScanFormat.JSONL) for one in self._outputs)

    @property
    def to_stdout_at_once(self) -> bool:
        """Whether standard output is written to while the scan goes on."""
        return any(one.format is ScanFormat.JSONL and one.path == STDOUT for one in self._outputs)

    def model(self, report: ModelReport) -> None:
        """One finished model."""
        for stream in self._streams:
            stream.model(report)
        if self._keeps:
            self._kept.append(report.brief())
        if self._document is not None:
            self._document.model(report)

    def end(self, report: Report) -> None:
        """Everything else about the scan, its models left out: writes the reports."""
        for stream in self._streams:
            stream.end(report)
        whole = replace(report, models=tuple(self._kept))
        for one in self._outputs:
            if one.format is not ScanFormat.JSONL:
                self._write(one.path, self._text(one, whole))

    def _text(self, one: Output, report: Report) -> str:
        match one.format:
            case ScanFormat.JSON if self._document is not None:
                return self._document.text(report)
            case ScanFormat.SARIF:
                from modelscan.report.sarif import sarif

                return sarif(report)
            case ScanFormat.JUNIT:
                from modelscan.report.junit import junit

                return junit(report, self._fail_on)
            case ScanFormat.MARKDOWN:
                from modelscan.report.markdown import scan_markdown

                return scan_markdown(report, self._fail_on)
            case ScanFormat.GITHUB:
                from modelscan.report.github import github_annotations

                return github_annotations(report, self._fail_on)
            case _:
                from modelscan.report.findings import scan_text
                from modelscan.report.text import Style

                return scan_text(report, style_of(self._colour) if one.path == STDOUT else Style(_FILE_COLUMNS), self._fail_on)

    def _write(self, path: str, text: str) -> None:
        if path == STDOUT:
            emit(text)
            return
        with _told(path), open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text if text.endswith("\n") or not text else f"{text}\n")

    def _appender(self, path: str) -> Callable[[str], None]:
        """Writes whole lines; the file is opened with the first one, so that a call that comes to nothing leaves an old report alone."""
        opened: list[IO[str]] = []

        def write(text: str) -> None:
            with _told(path):
                if not opened:
                    opened.append(self._files.enter_context(open(path, "w", encoding="utf-8", newline="\n")))  # noqa: SIM115 - the stack closes it
                opened[0].write(text)
                opened[0].flush()

        return write


@contextmanager
def _told(path: str) -> Iterator[None]:
    """A report that cannot be written is an error of the call, not of the models."""
    try:
        yield
    except OSError as error:
        usage_error(f"-o {path}: {error.strerror or error}")


def _writable(path: str) -> None:
    """Exit 2 where the file could not be written; creates nothing."""
    folder = os.path.dirname(path) or os.curdir
    try:
        mode = os.stat(path).st_mode
    except OSError:
        if not os.path.isdir(folder):
            usage_error(f"-o {path}: there is no folder {folder}")
        if not os.access(folder, os.W_OK):
            usage_error(f"-o {path}: {folder} cannot be written to")
        return
    if stat.S_ISDIR(mode):
        usage_error(f"-o {path} is a folder")
    if not os.access(path, os.W_OK):
        usage_error(f"-o {path} cannot be written to")


def refuse_overwriting(places: Iterable[str], option: str, read: Iterable[str]) -> None:
    """Exit 2 where a file that is written is one that is read, by whatever name, or a part of a model's folder that is."""
    there = {(info.st_dev, info.st_ino): path for path in places if (info := _status(path)) is not None and stat.S_ISREG(info.st_mode)}
    if not there:
        return
    for path in read:
        info = _status(path)
        if info is None:
            continue
        if stat.S_ISDIR(info.st_mode):
            inside = os.path.realpath(path)
            for place in there.values():
                if _is_part(os.path.realpath(place), inside):
                    usage_error(f"{option} {place} is a part of the model {path}, which is read; write elsewhere")
        elif (info.st_dev, info.st_ino) in there:
            usage_error(f"{option} {there[info.st_dev, info.st_ino]} is {path}, which is read; write elsewhere")


def _is_part(path: str, folder: str) -> bool:
    """Whether a file is one of those that make a folder a model."""
    parts = path.removeprefix(folder + os.sep).split(os.sep) if path.startswith(folder + os.sep) else [""]
    return parts[0].endswith((".pb", ".pbtxt", ".cpb")) or parts[0] in ("variables", "assets", "assets.extra")


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def progress_wanted(outputs: Outputs) -> bool:
    """No bar over lines that are written to the same terminal."""
    return not (outputs.to_stdout_at_once and sys.stdout.isatty())
