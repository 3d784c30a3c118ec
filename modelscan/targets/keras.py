"""Which releases of Keras load a file that another one wrote, as far as that follows from the versions alone.

Keras 2 (inside TensorFlow up to 2.15, as tf_keras up to 2.21) does not know the keys of Keras 3; Keras 3 loads part of what
Keras 2 wrote (no functional `.keras` file: https://github.com/keras-team/keras/issues/19089); a Keras 3 refuses keys that a
newer Keras 3 writes (measured: no file of 3.15 loads in 3.3 or 3.10, every tried file of 3.3 and 3.10 loads in 3.15).
"""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.model import Severity
from modelscan.versions import Version, Versions

RELEASES: tuple[Version, ...] = (
    *((1, minor) for minor in range(3)),
    *((2, minor) for minor in range(22)),
    *((3, minor) for minor in range(16)),
)
_PATCHES = 13


def problems(
    format: str, model_type: str | None, writer: Version, versions: Versions
) -> Iterator[tuple[str, list[Version], Severity | None]]:
    """What is wrong, the releases of the range that it concerns, and a severity where it is not certain."""
    releases = [one for one in RELEASES if one in versions or any((*one, patch) in versions for patch in range(_PATCHES))]
    if not releases:
        lowest = versions.lowest() or RELEASES[-1]
        if lowest < RELEASES[-1]:
            yield "is no release that is known here; whether it reads the file is not told", [lowest], Severity.MEDIUM
        releases = [RELEASES[-1]] if lowest > RELEASES[-1] else []
    major = writer[0]
    older = [one for one in releases if one[0] < major]
    if older:
        yield f"does not read files of Keras {major}", older, None
    newer = [one for one in releases if one[0] > major]
    if newer and major == 1:
        beyond = [one for one in newer if one[0] >= 3]
        if beyond:
            yield "does not read files of Keras 1", beyond, None
    elif newer and format == "keras" and model_type not in (None, "Sequential"):
        yield f"does not read a {model_type} `.keras` file of Keras {major}", newer, None
    elif newer:
        yield f"reads only part of what Keras {major} wrote: some layers' keys have changed", newer, Severity.MEDIUM
    behind = [one for one in releases if one[0] == major == 3 and one[1] < (writer[1] if len(writer) > 1 else 0)]
    if behind:
        yield f"may refuse keys that Keras {'.'.join(map(str, writer[:2]))} writes", behind, Severity.MEDIUM
