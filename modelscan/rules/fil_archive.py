"""FIL10x: the zip archive of a `.keras` file."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class TruncatedArchive(Rule):
    """The archive ends before its directory.

    What it does:
        Reports a zip archive whose central directory is missing or damaged; members found by their own headers are
        still read.

    Why it matters:
        A cut download loads nowhere, or loads with part of the weights.

    Example:
        The first 90 % of a `model.keras`.

    What to do:
        Fetch the file again and compare its size with the source.

    References:
        PKWARE APPNOTE, 4.3.16.
    """

    code = "FIL100"
    name = "truncated-archive"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "fetch the file again and compare its size with the source"


class DamagedArchive(Rule):
    """A member of the archive contradicts the archive's directory.

    What it does:
        Compares each member's own header with the directory, looks for members within each other and for names that readers
        understand in two ways, and inflates what is compressed.

    Why it matters:
        Readers differ in which of the two they believe, so that one checks what another does not load.

    Example:
        A member whose local header carries another name, size or method than the directory.

    What to do:
        Fetch the file again; do not load it if it stays so.

    References:
        PKWARE APPNOTE, 4.3.7 and 4.3.12.
    """

    code = "FIL101"
    name = "damaged-archive"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "fetch the file again; do not load it if it stays so"


class WrongCrc(Rule):
    """A member's bytes do not have the checksum that the archive states.

    What it does:
        Computes CRC-32 of the configuration, the metadata and small weights, and of all weights when values are read.

    Why it matters:
        Bytes were changed after the archive was written.

    Example:
        One flipped bit in `config.json`.

    What to do:
        Fetch the file again and compare its checksum with the source.

    References:
        PKWARE APPNOTE, 4.4.7.
    """

    code = "FIL102"
    name = "wrong-crc"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "fetch the file again and compare its checksum with the source"


class EncryptedMember(Rule):
    """A member of the archive is encrypted.

    What it does:
        Reports members with the encryption flag.

    Why it matters:
        No framework loads it, and no scanner sees inside.

    Example:
        A zip tool applied to a model with a password.

    What to do:
        Ask for the file without encryption.

    References:
        PKWARE APPNOTE, 4.4.4.
    """

    code = "FIL103"
    name = "encrypted-member"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "ask for the file without encryption"


class DuplicateMember(Rule):
    """Two members of the archive have one name.

    What it does:
        Reports names that stand twice in the archive's directory.

    Why it matters:
        Keras loads the last one, many readers the first: what was checked is not what is loaded.

    Example:
        Two members called `config.json`.

    What to do:
        Do not load the file; find out who wrote it.

    References:
        CWE-694.
    """

    code = "FIL104"
    name = "duplicate-member"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "do not load the file; find out who wrote it"


class MemberEscape(Rule):
    """A member's name leads out of the folder that it would be unpacked to.

    What it does:
        Reports absolute names, drive letters and names that climb with `..`.

    Why it matters:
        An extractor that trusts the name overwrites files of the machine.

    Example:
        `../../etc/cron.d/job`

    What to do:
        Do not unpack the file.

    References:
        CVE-2025-12060; CWE-22.
    """

    code = "FIL105"
    name = "member-escape"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "do not unpack the file"


class MemberLink(Rule):
    """A member of the archive is a symbolic link.

    What it does:
        Reports members that the archive's directory marks as links.

    Why it matters:
        Unpacked, the next member can be written through the link to anywhere.

    Example:
        `assets/link` that points to `/etc`.

    What to do:
        Do not unpack the file.

    References:
        CVE-2025-12638; CWE-59.
    """

    code = "FIL106"
    name = "member-link"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "do not unpack the file"


class UnexpectedMember(Rule):
    """The archive holds code.

    What it does:
        Reports members with the suffix of a script, a library or an executable, and members that begin as a program does.

    Why it matters:
        A model needs none; a loader that adds the folder to its path may import it.

    Example:
        `payload.py` beside `config.json`.

    What to do:
        Find out what it is for; ask for the file without it.

    References:
        CWE-506.
    """

    code = "FIL107"
    name = "unexpected-member"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "find out what it is for; ask for the file without it"


class PickleMember(Rule):
    """The archive holds a pickle.

    What it does:
        Reports members with a pickle's suffix, and members of any name that begin with a pickle's instructions; none is unpickled.

    Why it matters:
        Whoever unpickles it runs its author's code.

    Example:
        `assets/state.pkl`

    What to do:
        Ask for the file without it.

    References:
        CVE-2025-49655.
    """

    code = "FIL108"
    name = "pickle-member"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "ask for the file without it"


class TrailingBytes(Rule):
    """Bytes stand before or behind the model.

    What it does:
        Reports bytes outside of the file's own structure, with their place and number.

    Why it matters:
        Another file can hide there: polyglots pass for two formats at once.

    Example:
        A zip archive with an executable in front.

    What to do:
        Find out what they are; save the model again.

    References:
        CWE-436.
    """

    code = "FIL109"
    name = "trailing-bytes"
    severity = Severity.LOW
    formats = ("keras",)
    help = "find out what they are; save the model again"
