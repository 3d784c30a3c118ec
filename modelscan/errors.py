"""The exceptions of the package: one small family, each saying what, where and why."""

from __future__ import annotations


class ModelScanError(Exception):
    """Base of everything that modelscan raises on purpose."""


class UnreadableFile(ModelScanError):  # noqa: N818 - the design names it so; it says what the file is
    """A file, or the part of it that everything else hangs on, cannot be read.

    Attributes:
        kind: name of the rule that reports it (kebab-case, for example `truncated-file`).
        reason: one sentence for a person.
        offset: byte offset in the file where reading failed, if there is one.
        where: path of fields or members down to the failure, outermost first.
    """

    def __init__(self, kind: str, reason: str, *, offset: int | None = None, where: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.reason = reason
        self.offset = offset
        self.where = where
        super().__init__(str(self))

    def inside(self, place: str) -> UnreadableFile:
        """The same failure seen from one level further out."""
        return type(self)(self.kind, self.reason, offset=self.offset, where=(place, *self.where))

    def __str__(self) -> str:
        text = self.reason
        if self.where:
            text += f" (in {' > '.join(self.where)})"
        if self.offset is not None:
            text += f" at byte {self.offset:,}"
        return text


class LimitExceeded(UnreadableFile):
    """A bound of `limits.Limits` was passed; reading stopped before the cost was paid."""

    def __init__(
        self, limit: str, actual: int | float, allowed: int | float, *, offset: int | None = None, where: tuple[str, ...] = ()
    ) -> None:
        self.limit = limit
        self.actual = actual
        self.allowed = allowed
        super().__init__(
            "limit-exceeded", f"{limit.replace('_', ' ')}: {actual:,} is more than the limit of {allowed:,}", offset=offset, where=where
        )

    def inside(self, place: str) -> LimitExceeded:
        """The same failure seen from one level further out."""
        return LimitExceeded(self.limit, self.actual, self.allowed, offset=self.offset, where=(place, *self.where))


class ConfigError(ModelScanError):
    """The user's configuration or command line cannot be used."""


class UnusedOptionError(ConfigError):
    """What the user adds to a file says nothing of it.

    Attributes:
        names: kind and name of each: `("dim", "N")`, `("input", "x")`, `("config", "model.json")`.
    """

    def __init__(self, names: frozenset[tuple[str, str]], reason: str) -> None:
        self.names = names
        super().__init__(f"{', '.join(f'--{kind} {name}' for kind, name in sorted(names))}: {reason}")
