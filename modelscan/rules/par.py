"""PAR0xx: parameters, formula against stored, one rule for each way in which an account can disagree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from modelscan.model import Account, Finding, Severity, Verdict, shape_text
from modelscan.rules.base import Rule, Subject
from modelscan.series import Repeat, parts_of


class _RowRule(Rule):
    """Reports the rows of one verdict."""

    verdict: ClassVar[Verdict]

    def check(self, subject: Subject) -> Iterator[Finding]:
        """What catalogues noticed, and one finding per disagreeing row."""
        yield from super().check(subject)
        if subject.accounts is None:
            return
        for account in self._suspected(subject.accounts.accounts):
            for row in account.rows:
                if row.verdict is self.verdict and row.problem is not None:
                    what = row.spec.role if row.spec is not None else row.tensor.name if row.tensor is not None else "?"
                    yield self.finding(
                        f"{account.layer.type} {account.layer.path}: {what}: {row.problem}",
                        layer=account.layer.path,
                        tensor=row.tensor.name if row.tensor is not None else None,
                        offset=row.tensor.offset if row.tensor is not None else None,
                    )

    def _suspected(self, accounts: Sequence[Account]) -> Iterator[Account]:
        """All accounts but the copies of those that agree."""
        for part in parts_of(accounts):
            if not isinstance(part, Repeat):
                yield part
            elif any(row.verdict is self.verdict for account in part.sample for row in account.rows):
                yield from part.items()


class WeightMismatch(_RowRule):
    """A stored weight is not what its layer's configuration asks for.

    What it does:
        Compares shape, element type and byte length of each stored weight with what the layer's formula yields.

    Why it matters:
        The file and the program that it claims to be do not belong together: it was edited, mixed up or cut.

    Example:
        A Dense layer of 64 units over 128 inputs whose stored kernel is (128, 32).

    What to do:
        Save the model again from the training program, or find out who changed the file.

    References:
        The layer's own formula: `modelscan explain FILE LAYER`.
    """

    code = "PAR001"
    name = "weight-mismatch"
    severity = Severity.HIGH
    help = "save the model again from its source"
    verdict = Verdict.MISMATCH


class WeightMissing(_RowRule):
    """A weight that the layer must have is not stored.

    What it does:
        Reports each weight of a layer's formula for which no stored tensor was found. Where the file of all weights is not there or
        cannot be read, the finding that says so stands for all of them.

    Why it matters:
        The framework refuses the file, or goes on with random values.

    Example:
        A Dense layer with `use_bias: true` and no bias in the file.

    What to do:
        Save the model again from the training program.

    References:
        The layer's own formula: `modelscan explain FILE LAYER`.
    """

    code = "PAR002"
    name = "weight-missing"
    severity = Severity.HIGH
    help = "save the model again from its source"
    verdict = Verdict.MISSING

    def check(self, subject: Subject) -> Iterator[Finding]:
        """As for the others, unless all weights are missing for one reason that is told."""
        return Rule.check(self, subject) if _lost_together(subject) else super().check(subject)


_NO_STORE = frozenset({"missing-index", "missing-weights"})
_NO_HDF5 = frozenset({"malformed-hdf5", "truncated-hdf5"})


def _lost_together(subject: Subject) -> bool:
    """Whether the one file that holds the weights is not there, or nothing in it can be read."""
    model = subject.model
    if model is None:
        return False
    if model.program is not None:
        whole, broken = model.program.checkpoint is not None, any((one.where or "").endswith(".index") for one in subject.observations)
    else:
        whole, broken = bool(model.tensors), any(one.kind in _NO_HDF5 for one in subject.observations)
    return not whole and (broken or any(one.kind in _NO_STORE for one in subject.observations))


class WeightExtra(_RowRule):
    """A tensor is stored for a layer that its configuration does not ask for.

    What it does:
        Reports each tensor in a layer's part of the file that is no weight of the layer's formula.

    Why it matters:
        The configuration was edited, or bytes travel with the model that no one uses.

    Example:
        A Dense layer with `use_bias: false` and a stored bias.

    What to do:
        Find out where it comes from; save the model again.

    References:
        The layer's own formula: `modelscan explain FILE LAYER`.
    """

    code = "PAR003"
    name = "weight-extra"
    severity = Severity.HIGH
    help = "find out where the tensor comes from"
    verdict = Verdict.EXTRA


class TensorUnclaimed(Rule):
    """A stored weight belongs to no layer.

    What it does:
        Reports weights in the file that no layer of the configuration claims, optimizer state and metrics apart.

    Why it matters:
        Either a layer was taken out of the configuration, or bytes travel with the model that no one uses.

    Example:
        A group `layers/dense_3` in a model with three Dense layers.

    What to do:
        Find out where it comes from; save the model again.

    References:
        None.
    """

    code = "PAR004"
    name = "tensor-unclaimed"
    severity = Severity.HIGH
    help = "find out where the tensor comes from"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """What readers say is unclaimed, and what the accounts leave over."""
        yield from super().check(subject)
        if subject.accounts is None:
            return
        for tensor in subject.accounts.unclaimed:
            yield self.finding(
                f"{tensor.name}, {shape_text(tensor.shape)} {tensor.dtype}, belongs to no layer", tensor=tensor.name, offset=tensor.offset
            )
