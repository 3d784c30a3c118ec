"""FIL32x: the parts of a SavedModel beside its checkpoint."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class MissingProgram(Rule):
    """The program of a SavedModel is missing, empty or of a kind that is not read.

    What it does:
        Looks for `saved_model.pb` and reads it.

    Why it matters:
        Without it nothing can be served. What the variables are is told from their index.

    Example:
        A folder `variables` without `saved_model.pb` beside it.

    What to do:
        Copy the whole folder, or export the model again.

    References:
        https://www.tensorflow.org/guide/saved_model
    """

    code = "FIL320"
    name = "missing-program"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "copy the whole folder"


class FingerprintMismatch(Rule):
    """The files of a SavedModel are not those that its fingerprint was made of.

    What it does:
        Computes the fingerprint of the checkpoint's index and compares it with `fingerprint.pb` (TensorFlow 2.10 and later).

    Why it matters:
        The index was changed, or belongs to another export of the model.

    Example:
        `variables` copied from yesterday's export beside today's `saved_model.pb`.

    What to do:
        Export the model again, or copy all files from one place.

    References:
        tensorflow/cc/saved_model/fingerprinting.cc
    """

    code = "FIL321"
    name = "fingerprint-mismatch"
    severity = Severity.MEDIUM
    formats = ("savedmodel",)
    help = "copy all files from one export"


class MissingAsset(Rule):
    """A file that the program reads from its assets is not there.

    What it does:
        Looks up every asset that the program names.

    Why it matters:
        The model cannot be loaded: a vocabulary or a table is missing.

    Example:
        `assets/vocab.txt` was not copied.

    What to do:
        Copy the folder `assets`, too.

    References:
        https://www.tensorflow.org/guide/saved_model
    """

    code = "FIL322"
    name = "missing-asset"
    severity = Severity.MEDIUM
    formats = ("savedmodel",)
    help = "copy the folder assets, too"


class SeveralModels(Rule):
    """An archive holds more than one model; one was read.

    What it does:
        Counts the SavedModels in an archive and says which one the report is about.

    Why it matters:
        The others were not looked at.

    Example:
        `models.tar.gz` with the versions `1/` and `2/`.

    What to do:
        Unpack the archive and scan the folder.

    References:
        None.
    """

    code = "FIL323"
    name = "several-models"
    severity = Severity.LOW
    formats = ("savedmodel",)
    help = "unpack the archive and scan the folder"
