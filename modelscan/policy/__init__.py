"""The user's policy over a report: demands become findings, ignored ones go, suppressed and known ones are marked and counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from modelscan import rules
from modelscan.discover import absent
from modelscan.errors import ConfigError
from modelscan.failing import failing
from modelscan.ledger import FindingReport, ModelReport, Report
from modelscan.model import Observation, Severity
from modelscan.policy.paths import fits, names, word_fits
from modelscan.rules import Subject
from modelscan.settings import Settings, Suppression, most_specific, selector_fits

if TYPE_CHECKING:
    from modelscan.policy.baseline import Baseline

__all__ = ["Gate", "teach_layers"]


@dataclass
class _Tally:
    """What was let pass, and by whom."""

    ignored: int = 0
    suppressed: Counter[int] = field(default_factory=Counter)
    """By index of the suppression."""
    met: set[int] = field(default_factory=set)
    """Suppressions whose pattern fitted a model at least."""
    demanded: set[int] = field(default_factory=set)
    """Demands whose pattern fitted a model."""
    expired: Counter[int] = field(default_factory=Counter)
    known: int = 0
    gone: int = 0
    """Entries of the baseline about the scanned models that no longer occur."""


class Gate:
    """The settings with everything read that they name, ready to judge models one by one."""

    def __init__(self, settings: Settings, today: date | None = None, *, with_baseline: bool = True) -> None:
        """Reads the baseline and the models of `against`, makes the formulas of custom layers known.

        Raises `ConfigError` when one of them cannot be used.
        """
        self.settings = settings
        teach_layers(settings)
        self.today = today or date.today()
        self.baseline: Baseline | None = None
        if settings.baseline is not None and with_baseline:
            from modelscan.policy.baseline import read

            try:
                self.baseline = read(settings.baseline)
            except ConfigError as error:
                raise ConfigError(f"{self._origin('baseline')}{error}") from error
        self.production = {
            path: _production(path, self._origin("against"))
            for path in dict.fromkeys(one.against for one in settings.demands)
            if path is not None
        }
        self.tally = _Tally()

    def _origin(self, key: str) -> str:
        """Where a key comes from, for a message, if that is a file: an option or a variable names itself."""
        source = self.settings.source
        return f"{source}: " if source is not None and self.settings.origins.get(key, source) == source else ""

    def excludes(self, path: str) -> bool:
        """Whether a search passes this file or folder over."""
        return any(names(pattern, path, self.settings.root) for pattern in self.settings.exclude)

    def apply(self, report: Report, *, one_of_many: bool = False) -> Report:
        """The report as the policy sees it: all models judged, what was let pass counted.

        `one_of_many`: the other models that the settings are about are not in this report, so nothing is told of patterns that fit none.
        """
        self.tally = _Tally()
        if one_of_many:
            self.tally.demanded.update(range(len(self.settings.demands)))
        return self.finish(replace(report, models=tuple(self.judge(one) for one in report.models)))

    def judge(self, model: ModelReport) -> ModelReport:
        """One model with the findings of the policy added, ignored ones dropped, suppressed and known ones marked."""
        found = sorted([*model.findings, *self._demanded(model)], key=_order)
        known = self._known(model, found)
        standing = [one for one in found if self._counts(model, one)]
        self.tally.ignored += len(found) - len(standing)
        judged = sorted(self._suppressed(model, standing, known), key=_order)
        return replace(model, findings=tuple(judged))

    def finish(self, report: Report) -> Report:
        """The report with the policy's own account of what it did."""
        notes = (*report.notes, *self._notes())
        return replace(report, notes=notes, policy=self._account(report))

    def failing(self, report: Report) -> int:
        """How many findings fail the gate; an unreadable model that nobody accepted is one at least."""
        return sum(failing(model, self.settings.fail_on) for model in report.models)

    def _demanded(self, model: ModelReport) -> Iterator[FindingReport]:
        """What the budgets, requirements and models in production that apply to this model find."""
        if not self.settings.demands:
            return
        fitting = [(index, one) for index, one in enumerate(self.settings.demands) if fits(one.path, model, self.settings.root)]
        self.tally.demanded.update(index for index, _ in fitting)
        if not model.readable or not fitting:
            return
        from modelscan.policy.demands import budget_problems, requirement_problems
        from modelscan.policy.signature import replacement_differences

        seen: list[Observation] = []
        for _, one in fitting:
            seen += budget_problems(model, one.budget)
            seen += requirement_problems(model, one.require)
            if one.against is not None:
                seen += replacement_differences(model, self.production[one.against])
        if seen:
            once = tuple(dict.fromkeys(seen))
            yield from (FindingReport.of(one) for one in rules.judge(Subject(model.path, once, None, None)))

    def _counts(self, model: ModelReport, finding: FindingReport) -> bool:
        """Whether the selection has the finding's rule: the more specific word wins, and `ignore` wins a tie."""
        chosen = most_specific(self.settings.select, finding.code, finding.name) if self.settings.select else 1
        if not chosen or most_specific(self.settings.ignore, finding.code, finding.name) >= chosen:
            return False
        return not any(
            most_specific(selectors, finding.code, finding.name) and fits(pattern, model, self.settings.root)
            for pattern, selectors in self.settings.per_file_ignores.items()
        )

    def _suppressed(self, model: ModelReport, found: Iterable[FindingReport], known: set[int]) -> Iterator[FindingReport]:
        """The findings, those with a valid suppression or in the baseline marked; one more for each suppression that has expired."""
        here = [(index, one) for index, one in enumerate(self.settings.suppressions) if fits(one.path, model, self.settings.root)]
        self.tally.met.update(index for index, _ in here)
        expired: Counter[int] = Counter()
        for finding in found:
            for index, one in here:
                if not _means(one, finding):
                    continue
                if one.expires is not None and one.expires < self.today:
                    expired[index] += 1
                    continue
                self.tally.suppressed[index] += 1
                yield replace(finding, suppressed=one.reason)
                break
            else:
                yield self._marked(finding) if id(finding) in known else finding
        self.tally.expired.update(expired)
        yield from self._expired(model, expired)

    def _expired(self, model: ModelReport, expired: Counter[int]) -> Iterator[FindingReport]:
        for index, count in expired.items():
            one = self.settings.suppressions[index]
            many = "finding stands" if count == 1 else "findings stand"
            told = f"the suppression of {one.rule} expired on {one.expires}; {count} {many} again ({one.reason})"
            seen = Observation("suppression-expired", told, where=f"suppressions[{index}]")
            yield from (FindingReport.of(found) for found in rules.judge(Subject(model.path, (seen,), None, None)))

    def _known(self, model: ModelReport, found: list[FindingReport]) -> set[int]:
        """Identities of the findings that the baseline has. Ignored ones count: they occur, whether they are reported or not."""
        if self.baseline is None:
            return set()
        from modelscan.fingerprint import fingerprints

        known = self.baseline.of(model)
        marks = fingerprints(self.baseline.place(model), found)
        read = known if self.settings.values else {mark: code for mark, code in known.items() if not code.startswith("WGT")}
        self.tally.gone += len(set(read).difference(marks))
        return {id(one) for mark, one in zip(marks, found, strict=True) if mark in known}

    def _marked(self, finding: FindingReport) -> FindingReport:
        self.tally.known += 1
        return replace(finding, suppressed=f"known since the baseline {self.settings.baseline}")

    def _notes(self) -> Iterator[str]:
        """What the policy's author must know: exceptions that nothing needs any more."""
        for index, one in enumerate(self.settings.suppressions):
            if index in self.tally.met and not self.tally.suppressed[index] and not self.tally.expired[index]:
                place = f"{one.rule} in {one.path}{f', layer {one.layer}' if one.layer else ''}"
                yield f"suppression {index + 1} ({place}) suppressed nothing; take it out"
        idle = [one.path for index, one in enumerate(self.settings.demands) if one.path != "**" and index not in self.tally.demanded]
        if idle:
            yield f"no scanned model fits the path {', '.join(idle)} of [[models]]; what is demanded there was asked of none"
        if self.baseline is not None and self.tally.gone:
            many = "finding" if self.tally.gone == 1 else "findings"
            yield f"{self.tally.gone} known {many} of {self.baseline.path} did not occur; write it anew"

    def _account(self, report: Report) -> dict[str, Any]:
        tally = self.tally
        return {
            "source": self.settings.source,
            "failing": self.failing(report),
            "ignored": tally.ignored,
            "suppressed": sum(tally.suppressed.values()),
            "known": tally.known,
            "suppressions": [
                {
                    "rule": one.rule,
                    "path": one.path,
                    "layer": one.layer,
                    "reason": one.reason,
                    "expires": None if one.expires is None else one.expires.isoformat(),
                    "expired": one.expires is not None and one.expires < self.today,
                    "suppressed": tally.suppressed[index],
                }
                for index, one in enumerate(self.settings.suppressions)
            ],
        }


def teach_layers(settings: Settings) -> None:
    """Makes the formulas of the settings' custom layers known to this process and those that it forks; raises `ConfigError`."""
    if settings.layers or settings.plugins:
        from modelscan.extend import install

        try:
            install(settings.layers, settings.plugins)
        except ConfigError as error:
            origins = {settings.origins.get(key) for key in ("layers", "plugins")} - {None}
            place = f"{origins.pop()}: " if len(origins) == 1 else ""
            raise ConfigError(f"{place}{error}") from error


def _means(one: Suppression, finding: FindingReport) -> bool:
    if not selector_fits(one.rule, finding.code, finding.name):
        return False
    return one.layer is None or (finding.layer is not None and word_fits(one.layer, finding.layer))


def _order(one: FindingReport) -> tuple[int, str, str, str, int, str]:
    """As `rules.judge` sorts."""
    return (-Severity(one.severity).rank, one.code, one.layer or "", one.tensor or "", one.offset or 0, one.message)


def _production(path: str, origin: str = "") -> ModelReport:
    """The model that callers know; its callers' demands are lost when it cannot be read, so that is an error of the call."""
    from modelscan.formats import ReadOptions
    from modelscan.scan import examine_all

    if not os.path.lexists(path):
        raise ConfigError(f"{origin}against: {absent(path)}")
    found = next(examine_all([path], ReadOptions(), jobs=1))
    if not found.readable:
        reason = found.findings[0].message if found.findings else "unreadable"
        raise ConfigError(f"{origin}against: {path} cannot be read: {reason}")
    return found
