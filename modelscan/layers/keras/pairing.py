"""Which stored tensor stands for which weight: by place in archives, by name in the HDF5 files of Keras 1 and 2.

Nothing is paired because a shape happens to fit: a wrong pairing must never look like a match.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelscan.model import Claim, WeightSpec

_PLACE = re.compile(r"(?:^|/)vars/(?:\d+|idf_weights)$")
_OLD_WORDS: dict[str, tuple[str, ...]] = {
    "kernel": ("W", "depthwise_kernel"),
    "embeddings": ("W", "E"),
    "recurrent_kernel": ("U",),
    "bias": ("b",),
    "moving_mean": ("running_mean",),
    "moving_variance": ("running_std",),
    "alpha": ("alphas",),
    "vector_u": ("sn_u",),
}
"""Words of earlier versions for a role. Keras 1's `running_std` held the variance; `sn_u` is that of TensorFlow Addons."""


def paired(specs: Sequence[WeightSpec], claims: Sequence[Claim], copies: Mapping[str, str]) -> tuple[Claim, ...]:
    """The claims with their roles; one that nothing asks for keeps None."""
    if by_place(claims):
        return _by_place(specs, claims, copies)
    return _by_name(specs, claims)


def by_place(claims: Sequence[Claim]) -> bool:
    """Whether weights are stored as archives do it, under numbers."""
    return any(_PLACE.search(claim.key) for claim in claims)


def _by_place(specs: Sequence[WeightSpec], claims: Sequence[Claim], copies: Mapping[str, str]) -> tuple[Claim, ...]:
    copies = {_plain(key): role for key, role in copies.items()}
    places = {_plain(spec.key): spec.role for spec in specs if spec.key is not None}
    found = []
    for claim in claims:
        key = _plain(claim.key)
        if key in copies:
            found.append(replace(claim, role=copies[key], copy=True))
        else:
            found.append(replace(claim, role=places.get(key)))
    return tuple(found)


def lost_copies(claims: Sequence[Claim], copies: Mapping[str, str]) -> list[tuple[str, str]]:
    """Of weights that an archive has to hold twice, those that it holds once: what is missing, and the role.

    Only those under numbers; what is stored by name is looked for at one place alone.
    """
    if not by_place(claims):
        return []
    found = {claim.role for claim in claims if not claim.copy}
    there = {claim.role for claim in claims if claim.copy}
    single = [(key, role) for key, role in copies.items() if role in found ^ there and key.rsplit("/", 1)[-1].isdecimal()]
    return [(f"no second copy at {key}" if role in found else f"only its copy at {key}", role) for key, role in single]


def _plain(key: str | None) -> str:
    """tf-keras puts an underscore before the projections of an attention, Keras 3 does not."""
    return (key or "").replace("/_", "/").lstrip("_").replace("\\", "/")


def _by_name(specs: Sequence[WeightSpec], claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """Best common ending of role and name first; equals in the order of the file: trainable weights, then the others."""
    specs = sorted(specs, key=lambda spec: spec.trainable is False)
    names = [_words(claim.key) for claim in claims]
    roles = [(spec.role.split("/"), _classes(spec)) for spec in specs]
    scores = [
        (score, -claim, -spec)
        for claim, words in enumerate(names)
        for spec, (role, classes) in enumerate(roles)
        if (score := _score(words, role, classes))
    ]
    by_claim: dict[int, int] = {}
    taken: set[int] = set()
    for _, minus_claim, minus_spec in sorted(scores, reverse=True):
        if -minus_claim not in by_claim and -minus_spec not in taken:
            by_claim[-minus_claim] = -minus_spec
            taken.add(-minus_spec)
    left_claims = [index for index in range(len(claims)) if index not in by_claim]
    left_specs = [index for index in range(len(specs)) if index not in taken and not specs[index].optional]
    left_specs = left_specs or [index for index in range(len(specs)) if index not in taken]
    if left_claims and len(left_claims) == len(left_specs) and all(_is_nameless(names[index]) for index in left_claims):
        by_claim.update(zip(left_claims, left_specs, strict=True))
    return tuple(replace(claim, role=specs[by_claim[index]].role if index in by_claim else None) for index, claim in enumerate(claims))


def _is_nameless(words: list[str]) -> bool:
    """`param_3`, `Variable_1`: names that say nothing, where only the order is left."""
    return re.fullmatch(r"(?:param|variable|weight|w)s?(?:_?\d+)?", words[-1].lower()) is not None


def _words(key: str) -> list[str]:
    """The parts of a name in the catalogue's words."""
    words = []
    for part in key.split("/"):
        if re.fullmatch(r"forward(_.*)?", part):
            words.append("forward_layer")
        elif re.fullmatch(r"backward(_.*)?", part):
            words.append("backward_layer")
        else:
            words.append(part)
    return words


def _classes(spec: WeightSpec) -> list[str]:
    """The classes of the cells around a weight, as the groups of archives are called after them; names often begin with these, too."""
    parts = (spec.key or "").split("/")
    return [re.sub(r"_\d+$", "", parts[at + 1]) for at, part in enumerate(parts[:-1]) if part == "cells"]


def _score(words: list[str], role: list[str], classes: Sequence[str]) -> int:
    """0 when the last words differ; 4 for the word itself, less for an older word for it, more for each agreeing word before."""
    base = _last(words[-1], role[-1])
    if not base:
        return 0
    return base + 4 * sum(any(word == part or word.startswith(f"{part}_") for word in words[:-1]) for part in (*role[:-1], *classes))


def _last(word: str, role: str) -> int:
    if word == role:
        return 3
    numbered = re.sub(r"_\d+$", "", word)
    if numbered == role:
        return 2
    if any(word == old or word.endswith(f"_{old}") or numbered == old for old in _OLD_WORDS.get(role, ())):
        return 1
    return 1 if word.endswith(f"_{role}") else 0
