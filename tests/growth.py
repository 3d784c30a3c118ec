"""How much work and memory a file takes, told without a clock: lines of the package that are run, and bytes that Python makes room for."""

import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from types import CodeType

import modelscan
from modelscan import accounting, formats, layers
from modelscan.assemble import assemble
from modelscan.limits import DEFAULT
from modelscan.report.table import View, render
from modelscan.report.text import Style
from modelscan.rules import Subject, judge

SMALL, TIMES, MOST = 50, 4, 5.2
"""Parts of the small file; the large one has so many times as many, and may take so many times as many lines."""
A_PART = 40
"""Lines of one function for each part that do not matter: some are run for large files only."""
ROOM, ROOMS, MOST_ROOM = 100, 8, 16
"""The same of memory: it grows in steps, so the files are further apart."""
OURS = str(Path(modelscan.__file__).parent)


def examine(path: Path) -> None:
    """All that is done from the file to the table that is shown of it."""
    artifact = formats.open_artifact(str(path))
    found = layers.derive(formats.identify(artifact).read(artifact, DEFAULT), DEFAULT)
    accounts = accounting.reconcile(found)
    render(assemble("m", 1, found, accounts, judge(Subject("m", found.observations, found, accounts))), Style(100), View())


def lines(path: Path) -> Counter[str]:
    """Lines of the package that are run, by function."""
    counts: Counter[CodeType] = Counter()

    def line(frame, event, _):
        if event == "line":
            counts[frame.f_code] += 1
        return line

    def call(frame, event, _):
        return line if frame.f_code.co_filename.startswith(OURS) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        examine(path)
    finally:
        sys.settrace(before)
    return Counter({f"{code.co_filename.removeprefix(OURS)}:{code.co_firstlineno} {code.co_name}": count for code, count in counts.items()})


def room(path: Path) -> int:
    """Bytes that Python's objects take at most."""
    tracemalloc.start()
    try:
        examine(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def assert_in_proportion(write, tmp_path: Path, name: str) -> None:
    """So many times as many parts take about so many times as much; `write(path, parts)` writes the file."""

    def written(parts):
        path = tmp_path / f"{parts}{name}"
        write(path, parts)
        return path

    examine(written(2))  # what is made once in a process
    small, large = lines(written(SMALL)), lines(written(TIMES * SMALL))
    assert large.total() < MOST * small.total()
    grown = {one: (small[one], count) for one, count in large.items() if count > MOST * small[one] + A_PART * TIMES * SMALL}
    assert grown == {}
    assert room(written(ROOMS * ROOM)) < MOST_ROOM * room(written(ROOM))
