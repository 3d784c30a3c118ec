"""What a declared and an inferred type of the same value say together."""

from __future__ import annotations

from modelscan.model import Shape, TensorInfo


class Scoped:
    """Inferred types of one graph and, by node and attribute, of its bodies."""

    def __init__(self) -> None:
        self.values: dict[str, TensorInfo] = {}
        self.bodies: dict[tuple[int, str], Scoped] = {}
        self.raw: dict[str, bytes] = {}
        """Serialised types that are no tensors, by value name."""

    def part(self, start: int, count: int) -> Scoped:
        """The same for the nodes from `start`, their indices counted from there."""
        one = Scoped()
        one.values = self.values
        one.raw = self.raw
        one.bodies = {(index - start, key): body for (index, key), body in self.bodies.items() if start <= index < start + count}
        return one


def completes(said: TensorInfo, found: TensorInfo | None) -> bool:
    """Whether a declaration says more than inference found, without contradicting it."""
    if said.dtype is None and said.shape is None:
        return False
    if found is None or found.dtype is None or (found.shape is None and said.shape is not None):
        return True
    if said.shape is None or found.shape is None or len(said.shape) != len(found.shape) or said.dtype != found.dtype:
        return False
    pairs = list(zip(said.shape, found.shape, strict=True))
    return not any(_differ(*pair) for pair in pairs) and any(isinstance(a, int) and not isinstance(b, int) for a, b in pairs)


def contradiction(said: TensorInfo, found: TensorInfo, known: str = "{} follows from the inputs") -> str | None:
    """How a declared and a known type cannot both be true, None if they can; `known` tells where the second one is known from."""
    if said.dtype is not None and found.dtype is not None and said.dtype != found.dtype:
        return f"{said.dtype}, and {known.format(found.dtype)}"
    if said.shape is None or found.shape is None:
        return None
    if len(said.shape) != len(found.shape) or any(map(_differ, said.shape, found.shape)):
        return f"{_text(said.shape)}, and {known.format(_text(found.shape))}"
    return None


def combined(said: TensorInfo, found: TensorInfo) -> TensorInfo:
    """What was inferred, completed by what was declared."""
    dtype = found.dtype or said.dtype
    if found.shape is None or said.shape is None:
        return TensorInfo(said.name, dtype, said.shape if found.shape is None else found.shape)
    if len(found.shape) != len(said.shape):
        return TensorInfo(said.name, dtype, found.shape)
    return TensorInfo(said.name, dtype, tuple(map(_dimension, found.shape, said.shape)))


def _differ(one: int | str | None, other: int | str | None) -> bool:
    return isinstance(one, int) and isinstance(other, int) and one != other


def _dimension(found: int | str | None, said: int | str | None) -> int | str | None:
    for one in (found, said):
        if isinstance(one, int):
            return one
    return said if found is None else found


def _text(shape: Shape) -> str:
    inner = ", ".join("?" if size is None else str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
