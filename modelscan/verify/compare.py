"""Ours against the framework's: lines the two answers up and lists every figure that both sides have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from modelscan.ledger import LayerReport, ModelReport, TensorReport, WeightReport
from modelscan.records import record

Answer = Mapping[str, Any]


@record(frozen=True, slots=True)
class Comparison:
    """One thing that both sides have a figure for."""

    what: str
    """`total`, a layer's path, a tensor's name."""
    aspect: str
    """`parameters`, `trainable`, `weights`, `output shape`, `shape`, `dtype`, `stored`, `layer`, `order`."""
    ours: Any
    theirs: Any

    @property
    def agree(self) -> bool:
        """Whether the two are the same."""
        return bool(self.ours == self.theirs)


@record(frozen=True, slots=True)
class Verification:
    """What the framework said, and where it differs from modelscan."""

    path: str
    framework: str = "none"
    version: str = ""
    comparisons: tuple[Comparison, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    """The framework's own checks: name to `ok` or its complaint. A complaint is no difference: it counts nothing."""
    error: str | None = None
    """Why nothing could be compared: the framework's refusal, a time-out, a missing package."""
    note: str | None = None
    usage: bool = False
    """True when the error lies with the call or the installation, not with the file."""

    @property
    def differences(self) -> tuple[Comparison, ...]:
        """The comparisons that do not agree."""
        return tuple(one for one in self.comparisons if not one.agree)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "path": self.path,
            "framework": self.framework,
            "version": self.version,
            "error": self.error,
            "note": self.note,
            "checks": dict(self.checks),
            "compared": len(self.comparisons),
            "differences": len(self.differences),
            "comparisons": [
                {"what": one.what, "aspect": one.aspect, "ours": one.ours, "theirs": one.theirs, "agree": one.agree}
                for one in self.comparisons
            ],
        }


def compare_layers(report: ModelReport, answer: Answer) -> Iterator[Comparison]:
    """Totals, then layer by layer: what Keras built against what modelscan derived."""
    for name, theirs in answer["totals"].items():
        if theirs is not None:
            yield Comparison(name, "parameters", getattr(report.parameters, name), theirs)
    ours = {one.path: one for one in report.layers}
    seen = []
    for theirs in answer["layers"]:
        path = theirs["path"]
        mine = ours.get(path)
        if mine is not None:
            seen.append(path)
            yield from _layer(mine, theirs)
        elif not _within_a_layer(path, ours):
            yield Comparison(path, "layer", None, theirs["type"])
    known = set(seen)
    for path, mine in ours.items():
        if path not in known:
            yield Comparison(path, "layer", mine.type, None)
    order = [path for path in ours if path in known]
    if order != seen:
        first = next(index for index, (mine, theirs) in enumerate(zip(order, seen, strict=True)) if mine != theirs)
        yield Comparison(f"layer {first}", "order", order[first], seen[first])


def _within_a_layer(path: str, ours: Mapping[str, LayerReport]) -> bool:
    """Whether it lies in a model that a wrapper wraps: one layer to us, compared as its sum."""
    parts = path.split("/")
    above = (ours.get("/".join(parts[:length])) for length in range(1, len(parts)))
    return any(one is not None and not one.container for one in above)


def _layer(mine: LayerReport, theirs: Answer) -> Iterator[Comparison]:
    yield Comparison(mine.path, "type", mine.type, theirs["type"])
    if theirs["parameters"] is not None:
        yield Comparison(mine.path, "parameters", mine.parameters, theirs["parameters"])
        yield Comparison(mine.path, "trainable", mine.trainable, theirs["trainable"])
        if not mine.container:
            yield Comparison(mine.path, "weights", sorted(_weights(mine.weights)), sorted(theirs["weights"]))
    if theirs["output_shapes"] is not None:
        yield Comparison(mine.path, "output shape", [list(one) for one in mine.output_shapes], theirs["output_shapes"])


def _weights(rows: Iterable[WeightReport]) -> Iterator[str]:
    for one in rows:
        shape = one.stored_shape if one.stored_shape is not None else one.shape
        if shape is not None and not one.copy:
            yield f"{tuple(shape)} {one.stored_dtype or one.dtype or '?'}"


def compare_tensors(report: ModelReport, tensors: Sequence[TensorReport], answer: Answer, *, complete: bool) -> Iterator[Comparison]:
    """Stored tensor by stored tensor, under the names that the framework uses; then the signature.

    Args:
        report: ours.
        tensors: everything that modelscan found stored.
        answer: what the framework said.
        complete: whether the framework names every stored tensor, so that one of ours that it does not name is a difference.
    """
    ours = {one.name: one for one in tensors}
    repeated = {name for name, times in Counter(one["name"] for one in answer["tensors"]).items() if times > 1}
    for theirs in answer["tensors"]:
        name = theirs["name"]
        mine = ours.get(name)
        if name in repeated:  # the framework keeps one of them; which of ours that is cannot be told by name
            continue
        if mine is None:
            yield Comparison(name, "stored", None, theirs["shape"])
            continue
        yield Comparison(name, "shape", list(mine.shape or ()), theirs["shape"])
        yield Comparison(name, "dtype", mine.dtype, theirs["dtype"])
    if complete:
        known = {one["name"] for one in answer["tensors"]}
        for name in sorted(set(ours) - known):
            yield Comparison(name, "stored", list(ours[name].shape or ()), None)
    for side, mine_all in (("inputs", report.inputs), ("outputs", report.outputs)):
        if side in answer:
            yield from _signature(side, mine_all, answer[side])


def _signature(side: str, ours: Sequence[TensorReport], theirs: Sequence[Answer]) -> Iterator[Comparison]:
    yield Comparison(side, "names", sorted(one.name for one in ours), sorted(one["name"] for one in theirs))
    by_name = {one.name: one for one in ours}
    for one in theirs:
        mine = by_name.get(one["name"])
        if mine is None:
            continue
        if one["shape"] is not None:
            said = [size if isinstance(size, int) else None for size in one["shape"]]
            yield Comparison(f"{side[:-1]} {mine.name}", "shape", _as_told(mine.shape, said), said)
        if one["dtype"] is not None:
            yield Comparison(f"{side[:-1]} {mine.name}", "dtype", mine.dtype, one["dtype"])


def _as_told(shape: Sequence[int | str | None] | None, theirs: Sequence[int | None]) -> list[int | None]:
    """Our shape, without names of dimensions. A size that only one side tells contradicts nothing: the other's stands for it."""
    plain = list(theirs) if shape is None else [size if isinstance(size, int) else None for size in shape]
    if len(plain) != len(theirs):
        return plain
    return [said if said is None or size is None else size for size, said in zip(plain, theirs, strict=True)]
