"""FIL30x: a TensorFlow checkpoint, its index and its shards."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class IndexFooter(Rule):
    """The index of a checkpoint does not end as one.

    What it does:
        Looks for the magic number in the last eight bytes of an `.index` file and for the footer's two handles.

    Why it matters:
        An index that was cut off has lost its footer, and with it the place of every entry: nothing can be loaded.

    Example:
        `variables.index` of which the last 100 bytes were not copied.

    What to do:
        Fetch the file again and compare its size with the source.

    References:
        tensorflow/core/lib/io/format.cc
    """

    code = "FIL301"
    name = "index-footer"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "fetch the index again"


class MalformedIndex(Rule):
    """The index of a checkpoint contradicts itself.

    What it does:
        Reports handles, lengths, compressed blocks, keys out of order and entries that cannot be what they claim, with their byte
        offset.

    Why it matters:
        A loader finds other entries than there are, or none.

    Example:
        A block whose entries reach past its end.

    What to do:
        Fetch the file again and compare its checksum with the source.

    References:
        tensorflow/core/lib/io/block.cc, tensorflow/core/util/tensor_bundle/tensor_bundle.cc
    """

    code = "FIL302"
    name = "malformed-index"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "fetch the index again"


class IndexBlockCrc(Rule):
    """A block of the index has another checksum than the file states.

    What it does:
        Computes the CRC-32C of every block of the index.

    Why it matters:
        Names, shapes or places of entries were changed or damaged; TensorFlow refuses the checkpoint.

    Example:
        One flipped bit in `variables.index`.

    What to do:
        Fetch the file again.

    References:
        tensorflow/core/lib/io/format.cc
    """

    code = "FIL303"
    name = "index-block-crc"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "fetch the index again"


class MissingIndex(Rule):
    """The program has variables and their index is not there.

    What it does:
        Compares what the program wants restored with the folder.

    Why it matters:
        No variable can be loaded.

    Example:
        `saved_model.pb` was copied without the folder `variables`.

    What to do:
        Copy the whole folder.

    References:
        https://www.tensorflow.org/guide/saved_model
    """

    code = "FIL304"
    name = "missing-index"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "copy the folder variables, too"


class MissingCheckpointShard(Rule):
    """A data file of a checkpoint is not there.

    What it does:
        Looks for every shard that the index counts and that an entry lies in.

    Why it matters:
        The variables in it have no values. Their shapes are told all the same: they stand in the index.

    Example:
        `variables.data-00000-of-00002` was left out of a repository for its size.

    What to do:
        Copy all data files together with their index.

    References:
        tensorflow/core/util/tensor_bundle/tensor_bundle.cc
    """

    code = "FIL305"
    name = "missing-checkpoint-shard"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "copy all data files together with their index"


class EntryOutOfBounds(Rule):
    """An entry lies outside of its shard.

    What it does:
        Holds offset and size of every entry against the size of its data file.

    Why it matters:
        The data file was cut off, or the index belongs to another one.

    Example:
        An entry that ends at byte 5,002,606 of a data file of 4 MiB.

    What to do:
        Fetch both files again, from the same place.

    References:
        tensorflow/core/util/tensor_bundle/tensor_bundle.cc
    """

    code = "FIL306"
    name = "entry-out-of-bounds"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "fetch index and data files again, from the same place"


class EntrySize(Rule):
    """An entry takes more or fewer bytes than its type and shape need.

    What it does:
        Multiplies the shape with the width of the type.

    Why it matters:
        Shape, type or size was changed: the values would be read into the wrong places.

    Example:
        A `(128, 10)` float32 of 5,000 bytes.

    What to do:
        Save the checkpoint again.

    References:
        tensorflow/core/util/tensor_bundle/tensor_bundle.cc
    """

    code = "FIL307"
    name = "entry-size"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "save the checkpoint again"


class OverlappingEntries(Rule):
    """Two entries share bytes.

    What it does:
        Sorts the entries of each shard by their offset.

    Why it matters:
        No writer lays them so: an offset was changed, and one of the two is not what it was.

    Example:
        `dense/bias` begins inside of `dense/kernel`.

    What to do:
        Save the checkpoint again.

    References:
        tensorflow/core/util/tensor_bundle/tensor_bundle.cc
    """

    code = "FIL308"
    name = "overlapping-entries"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "save the checkpoint again"


class UnreferencedBytes(Rule):
    """Bytes of a shard belong to no entry.

    What it does:
        Looks for gaps between the entries of a shard and behind the last one.

    Why it matters:
        TensorFlow writes none: an entry is gone from the index or its offset was changed, or something else is hidden there.

    Example:
        4 KiB behind the last variable.

    What to do:
        Save the checkpoint again.

    References:
        tensorflow/core/util/tensor_bundle/tensor_bundle.cc
    """

    code = "FIL309"
    name = "unreferenced-bytes"
    severity = Severity.MEDIUM
    formats = ("savedmodel",)
    help = "save the checkpoint again"


class EntryCrc(Rule):
    """The bytes of a variable have another checksum than the index states.

    What it does:
        Computes the CRC-32C of every variable when values are read (`--values`).

    Why it matters:
        The values were changed or damaged after they were saved; TensorFlow refuses them.

    Example:
        One flipped bit in `variables.data-00000-of-00001`.

    What to do:
        Fetch the file again.

    References:
        tensorflow/core/util/tensor_bundle/tensor_bundle.cc
    """

    code = "FIL310"
    name = "entry-crc"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "fetch the data file again"


class MissingSlice(Rule):
    """The parts of a partitioned variable do not make up the whole.

    What it does:
        Looks up the entry of every part, and holds shape and extent of each against the whole.

    Why it matters:
        Rows of the variable have no values, or two.

    Example:
        An embedding saved in eight parts, of which the index has seven.

    What to do:
        Save the checkpoint again.

    References:
        tensorflow/core/util/saved_tensor_slice_util.cc
    """

    code = "FIL311"
    name = "missing-slice"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "save the checkpoint again"


class EntryOrder(Rule):
    """The entries lie in another order than they were saved in.

    What it does:
        Compares the order of the values in the shard with that of the program's own list of what it saves.

    Why it matters:
        TensorFlow writes one after the other. Two entries of equal shape that have changed places are two layers with each other's weights.

    Example:
        `layer1/kernel` and `layer2/kernel` with each other's offset.

    What to do:
        Save the checkpoint again, and compare the model's answers with those of the source.

    References:
        tensorflow/core/kernels/save_restore_v2_ops.cc
    """

    code = "FIL312"
    name = "entry-order"
    severity = Severity.MEDIUM
    formats = ("savedmodel",)
    help = "save the checkpoint again and compare its answers"
