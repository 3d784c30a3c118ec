"""`make verify-corpus`: every loadable file of the corpus, loaded by its framework beside modelscan, every difference printed.

`python -m tests.verify_corpus [FOLDER...]` takes other folders, or parts of the corpus. One line per file, then a summary by
framework. Exit status 1 when anything differs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from modelscan.discover import discover
from modelscan.verify import Oracle, Verification, verify
from tests.corpus import ROOT

SECONDS = 180
MOST = 12
"""Differences that are printed of one file."""


def files(arguments: list[str]) -> Iterator[str]:
    """Every model below the folders, as `scan` would find them."""
    yield from discover(arguments or [str(ROOT)]).targets


def line(found: Verification) -> str:
    """What came of one file."""
    name = found.path.removeprefix(f"{ROOT}/")
    if found.error is not None:
        return f"-  {name}: {found.framework}: {found.error[:160]}"
    differing = found.differences
    lines = [f"{'✗' if differing else '✓'}  {name}: {found.framework} {found.version}: {len(found.comparisons):,} figures"]
    lines += [f"     {one.what}: {one.aspect}: ours {one.ours!r:.300}, theirs {one.theirs!r:.300}" for one in differing[:MOST]]
    if len(differing) > MOST:
        lines.append(f"     … and {len(differing) - MOST:,} more")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Verify them all; 1 when anything differs, 2 when there is nothing to verify."""
    if not arguments and not Path(ROOT).exists():
        print(f"{ROOT} is not there; set MODELSCAN_CORPUS to the corpus folder", file=sys.stderr)
        return 2
    outcomes: Counter[tuple[str, str]] = Counter()
    figures = differences = 0
    with Oracle(seconds=SECONDS) as oracle:
        for path in files(arguments):
            found = verify(path, oracle=oracle)
            outcome = "not loaded" if found.error is not None else "differs" if found.differences else "agrees"
            outcomes[found.framework, outcome] += 1
            figures += len(found.comparisons)
            differences += len(found.differences)
            print(line(found), flush=True)
    print()
    for (framework, outcome), count in sorted(outcomes.items()):
        print(f"{framework:<12} {outcome:<12} {count:>5}")
    print(f"{figures:,} figures compared, {differences:,} differ")
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
