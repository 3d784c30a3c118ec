"""The ledger of one model as a table: the face of the product.

All layout is here; columns are dropped from the right of their importance when the terminal is narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain

from modelscan.ledger import LayerReport, ModelReport, WeightReport
from modelscan.records import record
from modelscan.report.findings import finding_lines
from modelscan.report.text import (
    Style,
    escape,
    escaped,
    formula,
    number,
    outputs,
    pad,
    shapes,
    share,
    shorten,
    size,
    tied,
    visible,
    width,
    width_of_all,
)
from modelscan.series import Repeat, parts_of

_MARGIN = 2
_GAP = 2
_MOST_CALLS = 8
"""Signatures of a SavedModel that are written out."""
_LEAST_FORMULA = 20


@record(frozen=True, slots=True)
class View:
    """What of the ledger is shown."""

    depth: int | None = None
    """Containers below this depth are folded; None: none are."""
    weights: bool = False
    """A row per tensor below each layer."""
    macs: bool = False
    """A column of multiply-accumulates."""
    findings: bool = True


@record(frozen=True, slots=True)
class _Row:
    cells: tuple[str, ...]
    formula: str
    numbers: str
    """The formula's numbers alone, for a terminal that is too narrow for both."""
    tied: str
    """What of it is counted elsewhere."""
    brief: str
    """The same in a word or two."""
    mark: str
    dim: bool = False


class _Single:
    """A row of the table."""

    __slots__ = ("rows",)

    def __init__(self, row: _Row) -> None:
        self.rows = [row]

    @property
    def widest(self) -> int:
        """Columns that the name needs."""
        return width(self.rows[0].cells[0])

    def lines(self, behind: Sequence[str], columns: int, style: Style) -> Iterator[str]:
        """The line: the name in so many columns, and what is behind it."""
        yield _line(self.rows[0], _cell(self.rows[0].cells[0], columns, False), behind[0], style)


class _Copies:
    """The rows of a block's copies, which differ in names alone."""

    __slots__ = ("names", "rows")

    def __init__(self, rows: list[_Row], names: list[list[str]]) -> None:
        self.rows = rows
        self.names = names
        """By row, those of all copies."""

    @property
    def widest(self) -> int:
        """Columns that the longest of the names needs."""
        return max((width_of_all(names) for names in self.names if names), default=0)

    def lines(self, behind: Sequence[str], columns: int, style: Style) -> Iterator[str]:
        """The lines of one copy behind those of the other."""
        written = [_lines(row, names, columns, rest, style) for row, names, rest in zip(self.rows, self.names, behind, strict=True)]
        return chain.from_iterable(zip(*written, strict=True))


def _lines(row: _Row, names: list[str], columns: int, behind: str, style: Style) -> list[str]:
    """The line of each copy of a row."""
    if row.dim or width_of_all(names) > columns or not "".join(names).isascii():
        return [_line(row, _cell(name, columns, False), behind, style) for name in names]
    margin = " " * _MARGIN  # nothing to paint or to shorten, as in nearly all tables
    return [f"{margin}{name:<{columns}}{behind}" for name in names]


def _line(row: _Row, name: str, behind: str, style: Style) -> str:
    line = f"{' ' * _MARGIN}{name}{behind}"
    return style.paint(line, "dim") if row.dim else line


_HEADS = ("Layer (type)", "Output shape", "Params", "MACs", "Share")
_RIGHT = (False, False, True, True, True)
_SHAPE, _MACS, _SHARE, _FORMULA = 1, 3, 4, 5


def as_text(report: ModelReport) -> str:
    """The table at a common width, without colours: what `print(report)` shows."""
    return render(report, Style(columns=110))


def render(report: ModelReport, style: Style, view: View | None = None) -> str:
    """The ledger: title, layers, totals, what is explained, findings."""
    view = view or View()
    lines = [_title(report, style)]
    if report.layers:
        lines += ["", *_table(report, style, view)]
    if report.readable:
        lines += ["", *_totals(report, style, view), *_conclusion(report, style)]
    if view.findings and report.findings:
        lines += ["", *finding_lines(report.findings, style)]
    return style.finish("\n".join(map(str.rstrip, lines)))


def _title(report: ModelReport, style: Style) -> str:
    producer = " ".join(part for part in (report.producer.get("framework"), report.producer.get("version")) if part)
    parts = [style.paint(escape(report.path), "bold"), escape(producer), escape(report.model_type or report.format or "unreadable")]
    if report.file_bytes is not None:
        parts.append(size(report.file_bytes))
    return " · ".join(part for part in parts if part)


def _table(report: ModelReport, style: Style, view: View) -> list[str]:
    parts = list(_rows(report, view))
    rows = [row for part in parts for row in part.rows]
    names = max([width(_HEADS[0]), *(part.widest for part in parts)])
    unasked = () if view.macs else (_MACS,)
    for drop in (unasked, (*unasked, _SHARE), (*unasked, _FORMULA)):  # the share goes before the formula does
        columns = _columns(rows, names, style.columns, drop)
        shown = [index for index, wide in enumerate(columns) if wide]
        room = max(0, style.columns - _MARGIN - sum(columns[index] + _GAP for index in shown) - 3)
        if _FORMULA in drop:
            room = 0
        elif room >= _LEAST_FORMULA:
            break
    fitted = lru_cache(maxsize=4096)(partial(_fitted, room=room))
    texts = [fitted(row.formula, row.numbers, row.tied, row.brief) if room else "" for row in rows]
    widest = max(map(width, {"Formula", *texts})) if any(texts) else 0
    head = " " * _MARGIN + _joined([pad(_HEADS[i], columns[i], _RIGHT[i]) for i in shown], pad("Formula", widest) if widest else "", " ")
    lines = [style.paint(head, "bold"), " " + style.paint("─" * min(style.columns - 1, width(head)), "dim")]
    cell = lru_cache(maxsize=4096)(_cell)

    def behind(row: _Row, text: str) -> str:
        """A line behind its name."""
        cells = [cell(row.cells[i], columns[i], _RIGHT[i]) for i in shown[1:]]
        return _joined(["", *cells], cell(text, widest, False) if widest else "", style.mark(row.mark) if row.mark else " ")

    fitting = iter(texts)
    for part in parts:
        lines.extend(part.lines([behind(row, next(fitting)) for row in part.rows], columns[0], style))
    return lines


def _fitted(formula: str, numbers: str, tied: str, brief: str, *, room: int) -> str:
    """The formula in this much room: symbols go first, then words; that it counts elsewhere is never lost."""
    for text in (f"{formula}{tied}", f"{numbers}{tied}" if numbers else ""):
        if text and width(text) <= room:
            return text.strip()
    return shorten(numbers or formula, room - width(brief)) + brief


def _cell(text: str, columns: int, right: bool) -> str:
    return pad(shorten(text, columns), columns, right)


def _joined(cells: Sequence[str], text: str, mark: str) -> str:
    return (" " * _GAP).join([*cells, *([text] if text else [])]) + f" {mark}"


def _columns(rows: Sequence[_Row], names: int, available: int, drop: Sequence[int]) -> list[int]:
    """Width of each column; names, which need so many columns, give way first, then the share, then the shapes are dropped."""
    wide = [names] + [0] * (len(_HEADS) - 1)
    for index in range(1, len(_HEADS)):
        if index not in drop:
            wide[index] = max([width(_HEADS[index]), *map(width, {row.cells[index] for row in rows})])
    room = available - _MARGIN - 3 - (0 if _FORMULA in drop else _LEAST_FORMULA)
    for index, least in ((0, 24), (1, 20)):
        needed = sum(wide) + _GAP * sum(map(bool, wide))
        wide[index] = max(min(wide[index], least), wide[index] - max(0, needed - room))
    room = available - _MARGIN - 2
    for index in (_SHARE, _SHAPE, _MACS):
        if sum(wide) + _GAP * sum(map(bool, wide)) > room:
            wide[index] = 0
    rest = room - sum(wide[1:]) - _GAP * sum(map(bool, wide))
    wide[0] = max(8, min(wide[0], rest))
    return wide


def _rows(report: ModelReport, view: View) -> Iterator[_Single | _Copies]:
    total = report.parameters.total
    for part in parts_of(report.layers) if not view.weights else report.layers:
        if isinstance(part, Repeat):
            shown = [place for place, layer in enumerate(part.sample) if _is_shown(layer, view)]
            rows = [_layer_row(part.sample[place], view, total) for place in shown]
            names = [_names(part.sample[place], part.columns.names(place)) for place in shown]
            yield _Copies(rows, names)
        elif _is_shown(part, view):
            yield _Single(_layer_row(part, view, total))
            if view.weights:
                yield from (_Single(_weight_row(one, "  " * part.depth)) for one in part.weights)
    if report.unclaimed:
        count = number(sum(one.elements or 0 for one in report.unclaimed))
        yield _Single(_Row(("(no layer)", "", count, "", ""), "stored, claimed by no layer", "", "", "", "extra"))
        if view.weights:
            yield from (_Single(_weight_row(one, "")) for one in report.unclaimed)


def _is_shown(layer: LayerReport, view: View) -> bool:
    return view.depth is None or layer.depth <= view.depth


def _names(layer: LayerReport, names: Sequence[str]) -> list[str]:
    """Names of layers like this one, with its type."""
    before, behind = "  " * layer.depth, f" ({escape(layer.type)})"
    return [before + name + behind for name in escaped(names)]


def _layer_row(layer: LayerReport, view: View, total: int | None) -> _Row:
    folded = layer.container and view.depth is not None and layer.depth == view.depth
    return _Row(
        (
            *_names(layer, (layer.name,)),
            outputs(layer),
            number(layer.parameters),
            number(layer.macs) if view.macs else "",
            "" if layer.container and not folded else share(layer.parameters, total),
        ),
        formula(layer),
        layer.formula_values or "",
        tied(layer),
        (" (tied)" if layer.tied == layer.parameters else f" ({number(layer.tied)} tied)") if layer.tied else "",
        layer.verdict,
        (layer.container and not folded) or (layer.verdict == "empty" and not layer.parameters),
    )


def _weight_row(weight: WeightReport, indent: str) -> _Row:
    name = f"{indent}    {escape(weight.role or weight.name or '?')}"
    shown = weight.stored_shape if weight.stored_shape is not None else weight.shape
    stored = f"{shapes([shown]) if shown is not None else '?'} {escape(weight.stored_dtype or '')}".strip()
    text = weight.problem or (" = ".join(part for part in (weight.formula, weight.formula_values) if part))
    return _Row((name, stored, number(weight.elements), "", ""), escape(text), "", "", "", weight.verdict, True)


def _totals(report: ModelReport, style: Style, view: View) -> Iterator[str]:
    found = report.parameters
    kinds = (
        [f"{size(report.weight_bytes)} {escape(next(iter(found.by_dtype)))}"] if len(found.by_dtype) == 1 else [size(report.weight_bytes)]
    )
    trainable = "unknown" if found.trainable is None else number(found.trainable)
    frozen = "unknown" if found.non_trainable is None else number(found.non_trainable)
    parts = [f"{style.paint(number(found.total), 'bold')} parameter{'' if found.total == 1 else 's'} ({kinds[0]})"]
    if found.trainable is not None or found.non_trainable is not None:
        parts += [f"trainable {trainable}", f"non-trainable {frozen}"]
    parts.append(f"optimizer {number(found.optimizer) if found.optimizer else 'none'}")
    if report.macs or view.macs:
        parts.append(f"{number(report.macs)} MACs")
    yield from _wrapped("  " + " · ".join(parts), style.columns)
    if len(found.by_dtype) > 1:
        yield "  by type: " + " · ".join(f"{escape(name)} {number(count)}" for name, count in found.by_dtype.items())
    if found.logical is not None and found.logical != found.total:
        yield f"  {number(found.logical)} parameters before packing"
    if found.total is not None and found.stored > found.total and not found.logical:
        copies = any(one.copy for layer in report.layers for one in layer.weights)
        yield f"  {number(found.stored)} elements are stored{', second copies of weights included' if copies else ''}"
    if found.constants:
        told = "1 stored element is no weight" if found.constants == 1 else f"{number(found.constants)} stored elements are no weights"
        yield f"  {told} (constants, states)"
    yield from _calls(report, style)


def _calls(report: ModelReport, style: Style) -> Iterator[str]:
    """The ways to call a SavedModel."""
    calls = [one for one in report.facts.get("calls", ()) if isinstance(one, Mapping)]
    for one in calls[:_MOST_CALLS]:
        sides = [
            ", ".join(f"{escape(part['name'])} {escape(part['dtype'] or '?')} {shapes([part['shape']])}" for part in one[side])
            for side in ("inputs", "outputs")
        ]
        yield from _wrapped(
            f"  {escape(one['name'])} [{escape(one['tags'])}]: {' → '.join(side or 'nothing' for side in sides)}", style.columns
        )
    if len(calls) > _MOST_CALLS:
        yield f"  and {len(calls) - _MOST_CALLS:,} more signatures"


def _wrapped(line: str, columns: int) -> Iterator[str]:
    """At the dots, or at spaces where a part is longer than the terminal; the rest stands below, indented like the first part."""
    current = ""
    for part in line.strip().split(" · "):
        longer = f"{current} · {part}" if current else f"  {part}"
        if visible(longer) <= columns:
            current = longer
            continue
        if current:
            yield current
        current = " "
        for word in part.split(" "):
            if current.strip() and visible(f"{current} {word}") > columns:
                yield current
                current = " "
            current = f"{current} {word}"
    yield current


def _conclusion(report: ModelReport, style: Style) -> Iterable[str]:
    found = report.parameters
    alarms = [one for one in report.findings if one.severity != "info" and one.suppressed is None]
    said = f"{len(report.findings)} finding{'s' if len(report.findings) != 1 else ''}" if report.findings else "no findings"
    if alarms:
        said = f"{len(alarms)} of them above info" if len(alarms) != len(report.findings) else said
        said = f"{len(report.findings)} findings, {said}" if "of them" in said else said
    if not found.stored:
        return [f"  {'all weights stand in attributes' if found.total else 'nothing is stored as a weight'} · {said}"]
    if found.explained == found.stored:
        how = (
            "all from the file's own statements alone"
            if found.independent == found.stored
            else f"{_percent(found.independent, found.stored)} independently"
        )
        if report.producer.get("framework") == "Keras" and found.independent == found.stored:
            how = "all from the configuration alone"
        return _wrapped(f"  {style.paint('✓', 'green')} every stored element explained, {how} · {said}", style.columns)
    mark = style.paint("✗", "red") if alarms else style.paint("?", "yellow")
    text = f"  {mark} {number(found.explained)} of {number(found.stored)} stored elements explained"
    return _wrapped(f"{text} ({_percent(found.explained, found.stored)}) · {said}", style.columns)


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 % means all."""
    tenths = 1000 * part // whole
    return f"{tenths // 10}.{tenths % 10} %"
