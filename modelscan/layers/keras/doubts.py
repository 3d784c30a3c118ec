"""What contradicts itself among weights whose meaning no configuration tells: gaps in their numbers, shapes that do not go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelscan.layers.keras.templates import MOST, proved
from modelscan.model import Claim, Layer, Observation

_WHOLE_NUMBERS = frozenset(("bool", "int16", "int32", "int64", "uint16", "uint32", "uint64"))


def gaps(layer: Layer) -> Iterator[Observation]:
    """Numbers that are left out among those of one group of an archive: Keras counts the weights of a layer from 0."""
    groups: dict[str, set[int]] = {}
    for claim in layer.claims:
        scope, _, word = claim.key.rpartition("/")
        if word.isdecimal() and len(word) < 6 and (scope == "vars" or scope.endswith("/vars")):
            groups.setdefault(scope, set()).add(int(word))
    for scope, numbers in groups.items():
        for missing in sorted(set(range(max(numbers))) - numbers)[:1]:
            text = f"{layer.type} {layer.path}: there is no {scope}/{missing}, although {scope}/{max(numbers)} is stored"
            yield Observation("weight-missing", text, layer=layer.path)


def contradiction(layer: Layer, kind: str, claims: Sequence[Claim]) -> Observation | None:
    """Why the weights of a group that is certainly that of a layer of class `kind` are not what such a layer holds."""
    if kind not in MOST or len(claims) > MOST[kind]:
        return None  # a class of an author's own that has the name
    whole = [claim for claim in claims if claim.tensor.dtype in _WHOLE_NUMBERS]
    if whole:
        text = f"{kind} {layer.path}: {whole[0].key} holds {whole[0].tensor.dtype}"
        return Observation("weight-mismatch", text, layer=layer.path, tensor=whole[0].tensor.name, offset=whole[0].tensor.offset)
    if any(claim.tensor.dtype in ("int8", "uint8") for claim in claims):
        return None  # quantised: there are more forms than are known here
    numbered = {claim.key.rsplit("/", 1)[-1]: claim for claim in claims}
    if len(numbered) == len(claims) and all(word.isdecimal() for word in numbered) and proved(kind, numbered) is None:
        shapes = ", ".join(str(claim.tensor.shape) for claim in claims)
        text = f"{kind} {layer.path}: stored shapes {shapes} do not go together in such a layer"
        return Observation("weight-mismatch", text, layer=layer.path, tensor=claims[0].tensor.name, offset=claims[0].tensor.offset)
    return None


def unlike_statistics(layer: Layer, claims: Sequence[Claim]) -> Observation | None:
    """What is wrong with weights called after Normalization that are, as those of Keras, a mean, a variance and a whole number."""
    if sorted(claim.key for claim in claims) != ["vars/0", "vars/1", "vars/2"]:
        return None
    mean, variance, count = (one.tensor for one in sorted(claims, key=lambda claim: claim.key))
    if count.dtype not in _WHOLE_NUMBERS or mean.dtype in _WHOLE_NUMBERS or (mean.shape == variance.shape and not count.shape):
        return None
    text = f"Normalization {layer.path}: mean {mean.shape}, variance {variance.shape} and count {count.shape} do not go together"
    return Observation("weight-mismatch", text, layer=layer.path, tensor=mean.name, offset=mean.offset)
