"""FIL12x: HDF5 files and the arrays in them."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class TruncatedHdf5(Rule):
    """The HDF5 file is shorter than its superblock says.

    What it does:
        Compares the end-of-file address in the superblock, and the end of each dataset, with the size of the file.

    Why it matters:
        A cut download: HDF5 refuses it, or weights are missing at the end.

    Example:
        A `model.h5` of which 99 % arrived.

    What to do:
        Fetch the file again and compare its size with the source.

    References:
        HDF5 File Format Specification 3.0, II.A.
    """

    code = "FIL120"
    name = "truncated-hdf5"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "fetch the file again and compare its size with the source"


class MalformedHdf5(Rule):
    """Part of the HDF5 file cannot be read.

    What it does:
        Reports objects that the HDF5 library refuses; the rest of the file is still read.

    Why it matters:
        Bytes of the structure were damaged or forged.

    Example:
        An object header with a flipped bit.

    What to do:
        Fetch the file again.

    References:
        HDF5 File Format Specification 3.0.
    """

    code = "FIL121"
    name = "malformed-hdf5"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "fetch the file again"


class Hdf5ExternalLink(Rule):
    """A link leads to another file.

    What it does:
        Reports external and user-defined links; none is followed.

    Why it matters:
        A loader opens whatever file the link names, with the rights of the process.

    Example:
        A weight that is a link to `/etc/passwd`.

    What to do:
        Do not load the file.

    References:
        CVE-2026-1669.
    """

    code = "FIL122"
    name = "hdf5-external-link"
    severity = Severity.CRITICAL
    formats = ("keras",)
    help = "do not load the file"


class Hdf5ExternalStorage(Rule):
    """A dataset keeps its values in another file.

    What it does:
        Reports datasets with external raw storage; the other file is not opened.

    Why it matters:
        A loader reads that file's bytes as weights, and a model that is published discloses them.

    Example:
        A kernel stored in `/etc/shadow`.

    What to do:
        Do not load the file.

    References:
        CVE-2026-1669.
    """

    code = "FIL123"
    name = "hdf5-external-storage"
    severity = Severity.CRITICAL
    formats = ("keras",)
    help = "do not load the file"


class Hdf5VirtualDataset(Rule):
    """A dataset is a view of others.

    What it does:
        Reports virtual datasets.

    Why it matters:
        Keras writes none; their parts may lie in other files.

    Example:
        A kernel mapped from `/srv/other.h5`.

    What to do:
        Do not load the file; ask for one with plain datasets.

    References:
        CVE-2026-0897.
    """

    code = "FIL124"
    name = "hdf5-virtual-dataset"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "do not load the file; ask for one with plain datasets"


class Hdf5SoftLink(Rule):
    """A link inside the file points to another place of it.

    What it does:
        Reports soft links; none is followed.

    Why it matters:
        Keras writes none. One weight stands for another, or for nothing.

    Example:
        A `gamma` that links to `beta`.

    What to do:
        Save the model again from its source.

    References:
        HDF5 File Format Specification 3.0, IV.A.2.g.
    """

    code = "FIL125"
    name = "hdf5-soft-link"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save the model again from its source"


class Hdf5LinkCycle(Rule):
    """A group is reached by two paths.

    What it does:
        Reports hard links to a group that was visited already; it is entered once.

    Why it matters:
        A reader that follows links walks in a circle for ever.

    Example:
        A group that contains its own parent.

    What to do:
        Do not load the file.

    References:
        CWE-674.
    """

    code = "FIL126"
    name = "hdf5-link-cycle"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "do not load the file"


class Hdf5Extent(Rule):
    """A dataset declares far more than it stores.

    What it does:
        Compares the declared size of each dataset with the bytes stored for it.

    Why it matters:
        Reading it allocates the declared size: gigabytes out of kilobytes.

    Example:
        A compressed dataset of a terabyte in a file of 4 KiB.

    What to do:
        Do not load the file.

    References:
        CVE-2026-0897; CWE-409.
    """

    code = "FIL127"
    name = "hdf5-extent"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "do not load the file"


class Hdf5ObjectDtype(Rule):
    """A weight is no array of numbers.

    What it does:
        Reports weights whose elements are strings, references or Python objects.

    Why it matters:
        Frameworks fail on it, or convert it by code that was not meant for untrusted data.

    Example:
        A kernel of variable-length strings.

    What to do:
        Do not load the file.

    References:
        CWE-502.
    """

    code = "FIL128"
    name = "hdf5-object-dtype"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "do not load the file"


class Hdf5PluginFilter(Rule):
    """A dataset needs a filter that is no part of HDF5.

    What it does:
        Reports filter numbers that name plugins which are not there.

    Why it matters:
        HDF5 looks for a shared library to load; without it the weights cannot be read.

    Example:
        A dataset compressed with Zstandard.

    What to do:
        Save the model again without the filter.

    References:
        The HDF5 filter registry.
    """

    code = "FIL129"
    name = "hdf5-plugin-filter"
    severity = Severity.MEDIUM
    formats = ("keras",)
    help = "save the model again without the filter"


class NpzObjectArray(Rule):
    """An array of the npz file is a pickle.

    What it does:
        Reads the headers of the arrays; an array of Python objects is never opened.

    Why it matters:
        Loading it with `allow_pickle=True` runs its author's code.

    Example:
        `layers/dense/vars.npy` with the element type `|O`.

    What to do:
        Do not load it with allow_pickle; ask for the weights as HDF5.

    References:
        The security note in the documentation of `numpy.load`.
    """

    code = "FIL130"
    name = "npz-object-array"
    severity = Severity.CRITICAL
    formats = ("keras",)
    help = "do not load it with allow_pickle; ask for the weights as HDF5"


class MalformedNpy(Rule):
    """An array of the npz file has no valid header.

    What it does:
        Parses the header of each array within bounds.

    Why it matters:
        The bytes were damaged or forged.

    Example:
        A header that announces 4 GiB of text.

    What to do:
        Fetch the file again.

    References:
        `numpy.lib.format`.
    """

    code = "FIL131"
    name = "malformed-npy"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "fetch the file again"


class NotKeras(Rule):
    """The HDF5 file has no mark of Keras.

    What it does:
        Reports HDF5 files without a configuration or layer names; their datasets are listed.

    Why it matters:
        Any program writes HDF5; nothing here says what the numbers are.

    Example:
        Measurement data saved as `data.h5`.

    What to do:
        Leave it out of the scan if it is no model.

    References:
        None.
    """

    code = "FIL132"
    name = "not-keras"
    severity = Severity.INFO
    formats = ("keras",)
    help = "leave it out of the scan if it is no model"


class MissingDataset(Rule):
    """A list of layers or weights does not say what is there.

    What it does:
        Compares the attribute `layer_names` with the groups, and `weight_names` with the datasets of each group.

    Why it matters:
        Keras goes through the lists: it fails on the file, or a weight was taken out.

    Example:
        `weight_names` lists `dense/kernel:0` and the group holds a bias only.

    What to do:
        Save the model again from its source.

    References:
        None.
    """

    code = "FIL133"
    name = "missing-dataset"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save the model again from its source"
