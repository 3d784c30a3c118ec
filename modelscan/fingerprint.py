"""What makes two findings the same one: over runs, machines and moved bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256

from modelscan.ledger import FindingReport

_OFFSET = re.compile(r"\s*\(?\bat byte [\d,]+\)?")


def fingerprint(place: str, finding: FindingReport) -> str:
    """A finding's fingerprint: rule, file, layer, tensor and what is said, byte offsets apart.

    `place` is the file's path from a folder that is the same everywhere, with `/`. What is said belongs to it: another wrong
    shape in the same layer is another finding.
    """
    said = _OFFSET.sub("", finding.message)
    parts = (finding.code, place, finding.layer or "", finding.tensor or "", finding.where or "", said)
    return sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def fingerprints(place: str, findings: Iterable[FindingReport]) -> list[str]:
    """The fingerprints of one file's findings, in their order; equal ones are numbered."""
    seen: dict[str, int] = {}
    found = []
    for one in findings:
        base = fingerprint(place, one)
        seen[base] = seen.get(base, 0) + 1
        found.append(base if seen[base] == 1 else f"{base}-{seen[base]}")
    return found
