"""`make fuzz`: mutants of every format through the reader in child processes, and a sample through the command line.

    python -m tests.fuzz --mutants 50000 --seed 1
    python -m tests.fuzz --only keras:4711 --keep mutant.keras

A mutant is told by its format, the seed and its number, so that one of them can be made again. What goes wrong is written
to `bench/out/fuzz/` beside the traceback; the file belongs into tests/fuzz/found once its cause is mended.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelscan.formats import ReadOptions
from modelscan.ledger import ModelReport, Plain, Report
from modelscan.limits import DEFAULT, MIB, Limits
from modelscan.worker import Pool
from tests.fuzz.mutate import mutant
from tests.fuzz.seeds import Seed, gather

OUT = Path(__file__).parents[2] / "bench" / "out" / "fuzz"
SUFFIX = {"onnx": ".onnx", "keras": ".keras", "keras-h5": ".h5", "checkpoint": ".index", "graphdef": ".pb", "savedmodel": ""}
SECONDS = 2.0
BYTES_A_SECOND = 5 * MIB
"""What an answer may take of the processor, and how much more a large file may: a second for so many bytes of structure."""
MEMORY = 300 * MIB
"""What an answer may take (resident, whole process)."""
PATIENCE = 120.0
"""Seconds on the clock until a reader is taken to hang."""
BATCH = 200


@dataclass
class Tally:
    """What happened to the mutants of one format."""

    mutants: int = 0
    readable: int = 0
    silent: int = 0
    """Readable, and nothing above `info` said."""
    deaths: int = 0
    """Findings that the reader's process had ended: a native library's crash, time or memory."""
    tracebacks: int = 0
    slowest: float = 0.0
    largest: int = 0
    over_time: int = 0
    over_memory: int = 0
    codes: Counter[str] = field(default_factory=Counter)


def peak_memory() -> int:
    """The largest resident size of this process since `forget_peak`."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Let the peak begin anew (Linux)."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as clear:
        clear.write("5")


@dataclass(frozen=True, slots=True)
class Outcome(Plain):
    """What became of one mutant."""

    readable: bool = False
    codes: tuple[str, ...] = ()
    """Of the findings above `info`."""
    seconds: float = 0.0
    """Of the processor: what else the machine does is no fault of the mutant's."""
    memory: int = 0
    trouble: str = ""
    """A traceback."""
    death: str = ""
    """How the reader's process ended."""


def answer(path: str, options: ReadOptions | None, limits: Limits) -> Outcome:
    """In the child: the report, all its views, and what it took."""
    from modelscan.examine import examine

    forget_peak()
    started = time.process_time()
    try:
        report = examine(path, options, limits)
        took = time.process_time() - started
        draw(report)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a fault of ours is what is looked for
        return Outcome(seconds=time.process_time() - started, memory=peak_memory(), trouble=traceback.format_exc())
    codes = {one.code for one in report.findings if one.severity != "info"}
    return Outcome(report.readable, tuple(sorted(codes)), took, peak_memory())


def draw(report: ModelReport) -> None:
    """Every view of a report; each must be text that can be encoded."""
    from modelscan.report.explain import explain
    from modelscan.report.findings import scan_text
    from modelscan.report.html import as_html
    from modelscan.report.json import dumps
    from modelscan.report.markdown import ledger_markdown, scan_markdown
    from modelscan.report.table import View, render
    from modelscan.report.text import Style

    style, whole = Style(100), Report((report,))
    json.loads(dumps(whole.to_dict()))
    for text in (
        scan_text(whole, style),
        scan_markdown(whole),
        render(report, style, View(weights=True)),
        explain(report, style),
        as_html(report),
        ledger_markdown(report),
    ):
        text.encode()


def died(path: str, kind: str, reason: str) -> Outcome:
    """In the parent: the child did not answer."""
    return Outcome(death=f"{kind}: {reason}")


def make(kind: str, number: int, seed: int, seeds: list[Seed]) -> tuple[Seed, dict[str, bytes]]:
    """The mutant of this number: one file of one of the seeds is changed."""
    chance = random.Random(f"{seed}:{kind}:{number}")
    chosen, other = chance.choice(seeds), chance.choice(seeds)
    contents = chosen.read()
    name = chance.choice([one for one in chosen.files if contents[one]] or list(chosen.files))
    donor = other.read()
    label = name or f"x{SUFFIX[kind]}"
    contents[name] = mutant(contents[name], label, donor[chance.choice(other.files)], chance)
    return chosen, contents


def put(folder: Path, kind: str, contents: dict[str, bytes]) -> Path:
    """Writes a mutant."""
    if kind != "savedmodel":
        path = folder / f"model{SUFFIX[kind]}"
        path.write_bytes(contents[""])
        return path
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def batches(kind: str, count: int, seed: int, seeds: list[Seed], scratch: Path) -> Iterator[list[tuple[int, Path]]]:
    """The mutants on disk, some at a time."""
    for begin in range(0, count, BATCH):
        found = []
        for number in range(begin, min(begin + BATCH, count)):
            folder = scratch / f"{kind}-{number}"
            folder.mkdir()
            found.append((number, put(folder, kind, make(kind, number, seed, seeds)[1])))
        yield found
        for number, _ in found:
            shutil.rmtree(scratch / f"{kind}-{number}")


def run_kind(kind: str, count: int, seed: int, seeds: list[Seed], scratch: Path) -> Tally:
    """All mutants of one format."""
    tally = Tally()
    for batch in batches(kind, count, seed, seeds, scratch):
        for (number, path), first in zip(batch, answers([path for _, path in batch]), strict=True):
            one, slow = first, too_slow(first, path)
            if slow or "reader-timeout" in first.death:  # a busy machine is no hang
                one = min(answers([path] * 3), key=lambda again: (bool(again.death), again.seconds))
                slow = too_slow(one, path)
            count_in(tally, one, slow)
            what = one.trouble or f"{one.death}\n"
            if slow or one.memory > MEMORY:
                what += f"{one.seconds:.1f} s, {one.memory / MIB:.0f} MiB\n"
            if what.strip():
                keep(kind, number, seed, path, what)
        print(f"{kind}: {tally.mutants:,} of {count:,}, {tally.tracebacks} tracebacks, {tally.deaths} deaths", file=sys.stderr, flush=True)
    return tally


def answers(paths: list[Path]) -> Iterator[Outcome]:
    """What becomes of mutants, in their order."""
    limits = replace(DEFAULT, worker_seconds=PATIENCE, worker_memory=2048 * MIB)
    return Pool(Outcome, answer, died, ReadOptions(values=True), limits, 1).run([str(path) for path in paths])


def too_slow(one: Outcome, path: Path) -> bool:
    """Whether an answer took more of the processor than a file of this size may."""
    return one.seconds > SECONDS + size(path) / BYTES_A_SECOND


def size(path: Path) -> int:
    """Bytes of a mutant."""
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) if path.is_dir() else path.stat().st_size


def count_in(tally: Tally, one: Outcome, slow: bool) -> None:
    """Adds one mutant's outcome."""
    tally.mutants += 1
    tally.readable += one.readable
    tally.silent += one.readable and not one.codes
    tally.deaths += bool(one.death)
    tally.tracebacks += bool(one.trouble)
    tally.slowest, tally.largest = max(tally.slowest, one.seconds), max(tally.largest, one.memory)
    tally.over_time += slow
    tally.over_memory += one.memory > MEMORY
    tally.codes.update(one.codes)


def keep(kind: str, number: int, seed: int, path: Path, what: str) -> None:
    """Puts a mutant aside with what it did."""
    OUT.mkdir(parents=True, exist_ok=True)
    place = OUT / f"{kind}-{seed}-{number}{SUFFIX[kind]}"
    shutil.rmtree(place, ignore_errors=True)
    if path.is_dir():
        shutil.copytree(path, place)
    else:
        shutil.copy(path, place)
    (OUT / f"{place.name}.txt").write_text(what)


def through_the_command_line(count: int, seed: int, seeds: dict[str, list[Seed]], scratch: Path) -> Counter[int]:
    """A sample as people call it, alternately in the formats; exit statuses, and what does not hold is an error."""
    statuses: Counter[int] = Counter()
    kinds = sorted(seeds)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        folder = scratch / f"cli-{number}"
        folder.mkdir()
        path = put(folder, kind, make(kind, 1_000_000 + number, seed, seeds[kind])[1])
        command = [sys.executable, "-m", "modelscan", "scan", "--format", "json", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # a busy machine is no hang
        statuses[done.returncode] += 1
        if done.returncode not in (0, 1, 2) or "Traceback" in done.stderr or "fault of our own" in done.stdout + done.stderr:
            keep(kind, 1_000_000 + number, seed, path, f"exit {done.returncode}\n{done.stderr}")
        elif done.returncode != 2:
            json.loads(done.stdout)
        shutil.rmtree(folder)
        if number % 50 == 49:
            print(f"command line: {number + 1:,} of {count:,}, {dict(sorted(statuses.items()))}", file=sys.stderr, flush=True)
    return statuses


def table(tallies: dict[str, Tally]) -> str:
    """The figures by format."""
    lines = [
        "| format | mutants | read | nothing to say | tracebacks | readers ended | slowest | most memory |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, one in tallies.items():
        lines.append(
            f"| {kind} | {one.mutants:,} | {one.readable:,} | {one.silent:,} | {one.tracebacks} | {one.deaths} "
            f"| {one.slowest:.2f} s | {one.largest / MIB:.0f} MiB |"
        )
    return "\n".join(lines)


def main() -> int:
    """Runs it; 1 when anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--mutants", type=int, default=50_000, help="in all, shared out among the formats")
    parser.add_argument("--cli", type=int, default=500, help="mutants through the command line")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--formats", nargs="*", choices=sorted(SUFFIX))
    parser.add_argument("--only", metavar="FORMAT:NUMBER", help="make one mutant and say what happens to it")
    parser.add_argument("--keep", metavar="FILE", help="where to write the mutant of --only")
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from modelscan.examine import examine

    with tempfile.TemporaryDirectory(prefix="modelscan-fuzz-") as name:
        museum, scratch = Path(name, "museum"), Path(name, "mutants")
        museum.mkdir()
        scratch.mkdir()
        seeds = {kind: found for kind, found in sorted(gather(museum).items()) if not chosen.formats or kind in chosen.formats}
        if chosen.only:
            kind, _, number = chosen.only.partition(":")
            path = put(scratch, kind, make(kind, int(number), chosen.seed, seeds[kind])[1])
            if chosen.keep:
                shutil.copytree(path, chosen.keep) if path.is_dir() else shutil.copy(path, chosen.keep)
            for finding in examine(str(path)).findings:
                print(finding.code, finding.severity, finding.message)
            return 0
        tallies = {kind: run_kind(kind, chosen.mutants // len(seeds), chosen.seed, found, scratch) for kind, found in seeds.items()}
        statuses = through_the_command_line(chosen.cli, chosen.seed, seeds, scratch)
    print(table(tallies))
    print(f"{chosen.cli} through the command line, by exit status: {dict(sorted(statuses.items()))}")
    wrong = sum(one.tracebacks + one.deaths + one.over_time + one.over_memory for one in tallies.values())
    return int(bool(wrong) or not set(statuses) <= {0, 1, 2})


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
