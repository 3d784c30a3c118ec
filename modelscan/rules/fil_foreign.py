"""FIL01x: what a file is instead of a model."""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.model import Finding, Severity
from modelscan.rules.base import Rule, Subject

_SUFFIXES = {
    ".onnx": ("onnx",),
    ".ort": ("onnx",),
    ".keras": ("keras", "keras-h5"),
    ".h5": ("keras-h5", "keras-weights"),
    ".hdf5": ("keras-h5", "keras-weights"),
    ".pb": ("graphdef", "savedmodel", "onnx"),
    ".index": ("checkpoint",),
}
"""Formats that go by a suffix: Keras 2.12 and 3 load a whole-model HDF5 file under either name."""


class EmptyFile(Rule):
    """The file has no bytes.

    What it does:
        Reports files of size zero.

    Why it matters:
        An interrupted download or a full disk leaves them. ONNX's own parser takes one for a valid empty model.

    Example:
        `touch model.onnx`

    What to do:
        Fetch the file again.

    References:
        None.
    """

    code = "FIL010"
    name = "empty-file"
    severity = Severity.HIGH
    help = "fetch the file again"


class GitLfsPointer(Rule):
    """The file is a Git LFS pointer, not the model that it points to.

    What it does:
        Recognises the pointer text and says which object, of which size, is meant.

    Why it matters:
        The repository was cloned without LFS: what would be deployed is 130 bytes of text.

    Example:
        `version https://git-lfs.github.com/spec/v1` in a file called `model.h5`.

    What to do:
        `git lfs pull`

    References:
        The Git LFS specification.
    """

    code = "FIL011"
    name = "git-lfs-pointer"
    severity = Severity.HIGH
    help = "run `git lfs pull`"


class HtmlFile(Rule):
    """The file is a web page.

    What it does:
        Recognises HTML under a model's name.

    Why it matters:
        A download went to a login or error page instead of the file.

    Example:
        A `model.h5` fetched from a share that asks for a confirmation first.

    What to do:
        Download the file itself.

    References:
        None.
    """

    code = "FIL012"
    name = "html-file"
    severity = Severity.HIGH
    help = "download the file itself, not the page about it"


class JsonFile(Rule):
    """The file is JSON text.

    What it does:
        Recognises JSON under a model's name.

    Why it matters:
        It holds no weights: an error message of an API, or an architecture alone.

    Example:
        `{"error": "Repository not found"}` in a file called `model.onnx`.

    What to do:
        Fetch the file again; for an architecture, `modelscan inspect --config model.json weights.h5`.

    References:
        None.
    """

    code = "FIL013"
    name = "json-file"
    severity = Severity.HIGH
    help = "fetch the model itself; an architecture goes with `--config`"


class TextFile(Rule):
    """The file is plain text.

    What it does:
        Recognises text under a model's name and quotes its first line. The text form of a model (protobuf text, ONNX's syntax,
        ONNX as JSON) and the `MLmodel` that describes one are told as such.

    Why it matters:
        It is no model, or none in a form that is read: it was not checked.

    Example:
        A note on where to download the weights. `model.onnxtxt`.

    What to do:
        Fetch the model itself; save one that is there as text in its binary form.

    References:
        None.
    """

    code = "FIL014"
    name = "text-file"
    severity = Severity.HIGH
    help = "fetch the model itself, in its binary form"


class PickleFile(Rule):
    """The file is a Python pickle.

    What it does:
        Recognises a pickle stream by its first opcodes. It is not unpickled.

    Why it matters:
        Loading a pickle runs whatever code its author put in.

    Example:
        `joblib.dump(model, "model.h5")`

    What to do:
        Do not load it. Ask for the model in a format that holds data only.

    References:
        The warning in the documentation of Python's pickle module.
    """

    code = "FIL015"
    name = "pickle-file"
    severity = Severity.CRITICAL
    help = "do not load it; ask for a format that holds data only"


class ForeignFormat(Rule):
    """The file is of another format.

    What it does:
        Recognises other model formats, archives, images and executables by their first bytes and names them.

    Why it matters:
        It was not checked. Calling a skipped file clean would be the worst answer of all.

    Example:
        A TensorFlow Lite model called `model.pb`.

    What to do:
        Check it with a tool for its format, or leave it out of the scan.

    References:
        None.
    """

    code = "FIL016"
    name = "foreign-format"
    severity = Severity.HIGH
    help = "check it with a tool for its format"


class WrongSuffix(Rule):
    """The content is of another format than the file's suffix says.

    What it does:
        Compares the format that was found by content with the suffix.

    Why it matters:
        Loaders choose by suffix: they fail, or another reader than the one that was tested gets the file. Scanners that go by suffix
        pass it over.

    Example:
        A `.keras` archive called `model.onnx`.

    What to do:
        Rename the file.

    References:
        None.
    """

    code = "FIL017"
    name = "wrong-suffix"
    severity = Severity.MEDIUM
    help = "rename the file"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """Compares suffix and format."""
        yield from super().check(subject)
        lowered = subject.path.lower()
        suffix = next((one for one in _SUFFIXES if lowered.endswith(one)), None)
        if subject.model is not None and suffix is not None and subject.model.format not in _SUFFIXES[suffix]:
            yield self.finding(f"the content is {subject.model.format}, the suffix is {suffix}")
