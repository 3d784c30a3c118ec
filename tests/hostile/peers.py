"""`make peers`: the museum through modelscan and through two peers, into docs/peers.md.

The peers live in virtual environments of their own, `.venv-peers-…`: one of them bears our package's name. Each call has a time limit, a closed
standard input and no telemetry. What counts as what stands in the page itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modelscan import __version__
from modelscan.ledger import ModelReport
from tests.hostile import threats
from tests.hostile.conftest import SLOW_TO_READ, scanned
from tests.hostile.exhibit import Exhibit
from tests.hostile.museum import all_exhibits

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "peers.md"
OUT = ROOT / "bench" / "out" / "peers"
"""Answers of the peers as they come; `--fresh` asks everything anew."""
DRIVER = Path(__file__).with_name("peer_driver.py")
TRACEBACK = 99
SECONDS = 60


@dataclass(frozen=True)
class Peer:
    """Another scanner."""

    name: str
    requirement: str
    """With the extras for the formats of the museum."""
    title: str

    @property
    def python(self) -> Path:
        """Of its environment."""
        return ROOT / f".venv-peers-{self.name}" / "bin" / "python"


PEERS = (
    Peer("modelscan", "modelscan[h5py,tensorflow]", "Protect AI modelscan"),
    Peer("modelaudit", "modelaudit[h5,onnx,tensorflow]", "modelaudit"),
)


@dataclass(frozen=True)
class Answer:
    """What a scanner said of one exhibit: `flagged`, `passed`, `refused` (it could not scan it, and says so), `hung`, `crashed`."""

    word: str
    seconds: float


def install(peer: Peer) -> None:
    """Its environment, once."""
    if not peer.python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(peer.python.parents[1])], check=True)
        subprocess.run([str(peer.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", peer.requirement], check=True)


def ask(peer: Peer, paths: dict[str, Path]) -> tuple[str, dict[str, Answer]]:
    """Its version, and its answers by exhibit; an interrupted run is taken up where it ended."""
    command = [str(peer.python), str(DRIVER), peer.name, str(SECONDS)]
    environment = {"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "LANG": "C.UTF-8"}
    names = {str(path): name for name, path in paths.items()}
    found: dict[str, Answer] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=PAGE.parent) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        version = json.loads(process.stdout.readline())["version"]
        kept = OUT / f"{peer.name}-{version}.json"
        if kept.exists():
            found = {name: Answer(*one) for name, one in json.loads(kept.read_text()).items() if name in paths}
        for path, name in names.items():  # one at a time: a pipe full of answers would stop both
            if name in found:
                continue
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            found[name] = Answer(word(answer["status"], answer["severities"]), answer["seconds"])
            kept.write_text(json.dumps({key: [one.word, one.seconds] for key, one in found.items()}))
            print(f"{peer.name}: {len(found)} of {len(names)}: {name}: {found[name].word}", file=sys.stderr, flush=True)
        process.stdin.close()
    return version, found


def word(status: int | None, severities: Iterable[str]) -> str:
    """What an exit status and the severities of the issues come to; issues count even where something else went wrong."""
    if status is None:
        return "hung"
    if any(one not in ("info", "debug", "") for one in severities):
        return "flagged"
    if status < 0 or status == TRACEBACK:
        return "crashed"
    return {0: "passed", 1: "flagged"}.get(status, "refused")


def ours(exhibit: Exhibit, report: ModelReport) -> Answer:
    """Named by the exact rule, for a bad file; for a legal one, whether anything above `info` was said."""
    grave = {one.name for one in report.findings if one.severity != "info"}
    if any(one in grave for one in ("reader-crash", "reader-timeout", "reader-memory")):
        return Answer("crashed", 0)
    return Answer("flagged" if (exhibit.rule in grave if exhibit.rule else grave) else "passed", 0)


def row(what: str, exhibits: list[Exhibit], columns: list[dict[str, Answer]]) -> str:
    """A line of the table: files, and per scanner how many it flagged."""
    cells = []
    for answers in columns:
        words = Counter(answers[one.name].word for one in exhibits)
        others = [f"{words[kind]} {kind}" for kind in ("refused", "hung", "crashed") if words[kind]]
        cells.append(f"{words['flagged']}" + (f" ({', '.join(others)})" if others else ""))
    return f"| {what} | {len(exhibits)} | {' | '.join(cells)} |"


def page(columns: list[dict[str, Answer]], versions: list[str]) -> str:
    """The whole page."""
    bad, clean = ([one for one in all_exhibits() if bool(one.rule) is wanted] for wanted in (True, False))
    heads = [f"modelscan {__version__}", *(f"{peer.title} {version}" for peer, version in zip(PEERS, versions, strict=True))]
    head = [f"| | Files | {' | '.join(heads)} |", f"|---|---:|{'---:|' * len(heads)}"]
    areas: dict[str, list[threats.Threat]] = {}
    for threat in threats.THREATS:
        areas.setdefault(threat.area, []).append(threat)
    lines = [INTRODUCTION.format(seconds=SECONDS, **{peer.name: version for peer, version in zip(PEERS, versions, strict=True)}), *head]
    for area, group in areas.items():
        names = {one.name for threat in group for one in threat.exhibits()}
        lines.append(row(area, [one for one in bad if one.name in names], columns))
    lines += [row("**all bad files**", bad, columns), row("**legal files: alarms**", clean, columns), "", "## Line by line", ""]
    for area, group in areas.items():
        lines += [f"### {area}", "", *head, *(row(threat.what, threat.exhibits(), columns) for threat in group), ""]
    slow = [f"{peer.title}: {', '.join(sorted(name for name, one in found.items() if one.word == kind))}" for kind in ("hung", "crashed")
            for peer, found in zip(PEERS, columns[1:], strict=True) if any(one.word == kind for one in found.values())]  # fmt: skip
    if slow:
        lines += ["## Stopped or ended by a fault", "", *(f"- {one}" for one in slow), ""]
    return "\n".join(lines).rstrip() + "\n"


INTRODUCTION = """# Beside other scanners

The museum (`tests/hostile`), every file of it, through three scanners. Written by `make peers`, which sets up an environment for each of the others and keeps
their answers: a file is asked again when it is new, all are with `python -m tests.hostile.peers --fresh`.

What the others are made for: [Protect AI's modelscan](https://github.com/protectai/modelscan) {modelscan} looks for code that a model file runs when it is loaded:
pickles in all their wrappings, Lambda layers of Keras, two file operations of TensorFlow; it does not read ONNX.
[modelaudit](https://github.com/promptfoo/modelaudit) {modelaudit} looks for malice and known vulnerabilities in some thirty formats, pickles and PyTorch
archives first of all. Neither claims to check weights against configurations, and most of the museum is about files that they were not made for:
the table tells who needs what beside them, not who is better at pickles. Pickles inside PyTorch files are nothing that modelscan reads at all; it says what they are
and that they run code.

How it was counted: each scanner with its extras for HDF5, ONNX and TensorFlow, default settings, one file or folder a call, {seconds} s at most, no network, no telemetry.
*Flagged* means for the others that they report any issue whatever its reason (of Protect AI's any severity, of modelaudit's `warning` or `critical`); for modelscan only
that the one rule was named that is right for this file, at `low` or above. *Refused*: the scanner ends with the exit status by which it says
that it could not scan the file; a pipeline stops there, too, without a reason. *Hung*: no answer within the time. Everything else it let pass. The exhibits were made by
modelscan's authors along public advisories, so the first column is a requirement, no surprise.
"""


def main() -> int:
    """Builds the museum, asks everybody, writes the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.peers")
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("--fresh", action="store_true", help="forget the answers of earlier runs")
    chosen = parser.parse_args()
    if chosen.fresh:
        shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        install(peer)
    with tempfile.TemporaryDirectory(prefix="modelscan-peers-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile complains about members that are duplicates on purpose
        paths = {}
        for one in all_exhibits():
            Path(name, one.name).mkdir()
            paths[one.name] = one.build(Path(name, one.name))
        reports = scanned({key: path for key, path in paths.items() if key not in SLOW_TO_READ}, values=True)
        reports |= scanned({key: paths[key] for key in sorted(SLOW_TO_READ)}, values=False)
        columns = [{one.name: ours(one, reports[one.name]) for one in all_exhibits()}]
        versions = []
        for peer in PEERS:
            version, found = ask(peer, paths)
            columns.append(found)
            versions.append(version)
    chosen.output.write_text(page(columns, versions), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
