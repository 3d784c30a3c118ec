"""One of the two models of a comparison: read, derived and reconciled, its values at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelscan import accounting, formats, layers
from modelscan.accounting import Accounts
from modelscan.formats import Artifact, Format, ReadOptions
from modelscan.limits import Limits
from modelscan.model import Account, Model, StoredTensor
from modelscan.records import record


@record(frozen=True, slots=True)
class Side:
    """A model with all that a comparison asks of it."""

    path: str
    artifact: Artifact
    format: Format
    model: Model
    accounts: Accounts
    limits: Limits

    @property
    def layers(self) -> Sequence[Account]:
        """The accounts of its layers, in order."""
        return self.accounts.accounts

    @property
    def file_bytes(self) -> int | None:
        """The size of the file, None for a folder."""
        return self.artifact.source.size if self.artifact.source is not None else None

    def blocks(self, tensor: StoredTensor) -> Iterator[memoryview]:
        """The values of a stored tensor; see `formats.Format.blocks`."""
        return self.format.blocks(self.artifact, tensor, self.limits)


def open_side(path: str, options: ReadOptions, limits: Limits) -> Side:
    """The model at `path`; raises `UnreadableFile`."""
    artifact = formats.open_artifact(path, options)
    found = formats.identify(artifact)
    model = layers.derive(found.read(artifact, limits), limits)
    return Side(path, artifact, found, model, accounting.reconcile(model), limits)
