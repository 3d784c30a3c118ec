"""TensorFlow's own operations, by name, and which of them reach for files, other machines or Python.

`operations.txt` beside this module is the registry of TensorFlow 2.21 (`TF_GetAllOpList`); a `*` marks those with functions among their
attributes. What each operation does: tensorflow/core/ops/*_ops.cc.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from modelscan.records import record


@record(frozen=True, slots=True)
class Danger:
    """What an operation does beside computing."""

    kind: str
    """Name of the rule."""
    does: str
    """For the message: `reads a file`."""
    place: int | None = None
    """Which input tells the file or address; None when it is no input."""


def _all(kind: str, does: str, place: int | None, names: str) -> dict[str, Danger]:
    return dict.fromkeys(names.split(), Danger(kind, does, place))


DANGERS: Mapping[str, Danger] = (
    _all("python-op", "calls Python code", None, "PyFunc PyFuncStateless EagerPyFunc")
    | _all("file-read-op", "reads a file", 0, "ReadFile ImmutableConst LoadAndRemapMatrix Restore RestoreSlice RestoreV2 DTensorRestoreV2")
    | _all("file-read-op", "lists files", 0, "MatchingFiles MatchingFilesDataset ExperimentalMatchingFilesDataset")
    | _all(
        "file-read-op",
        "reads files",
        0,
        "TextLineDataset TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2 LMDBDataset "
        "ExperimentalLMDBDataset CSVDataset CSVDatasetV2 ExperimentalCSVDataset LoadDataset SnapshotChunkDataset ListSnapshotChunksDataset "
        "SnapshotDatasetReader SnapshotNestedDatasetReader",
    )
    | _all(
        "file-read-op",
        "reads files",
        None,
        "WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 TFRecordReader TFRecordReaderV2 FixedLengthRecordReader "
        "FixedLengthRecordReaderV2 LMDBReader RecordInput",
    )
    | _all("file-read-op", "reads a database", 1, "SqlDataset ExperimentalSqlDataset")
    | _all("file-read-op", "reads a file", 1, "InitializeTableFromTextFile InitializeTableFromTextFileV2")
    | _all("file-write-op", "writes a file", 0, "WriteFile Save SaveSlices SaveV2 MergeV2Checkpoints")
    | _all("file-write-op", "writes files", 1, "CreateSummaryFileWriter CreateSummaryDbWriter SaveDataset SaveDatasetV2 SnapshotDataset")
    | _all(
        "file-write-op", "writes files", 1, "SnapshotDatasetV2 DatasetToTFRecord ExperimentalDatasetToTFRecord CacheDataset CacheDatasetV2"
    )
    | _all("file-write-op", "writes files", None, "DumpTensor DistributedSave CalibrationStatisticsSaver")
    | _all("network-op", "opens a connection", 0, "RpcClient RpcServer RemoteCall")
    | _all(
        "network-op", "fetches data from a service", 2, "DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4"
    )
)
SAVERS = frozenset({"Restore", "RestoreSlice", "RestoreV2", "Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints"})
"""What every saver is made of: dangerous only with a path of its own."""
TABLES = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
"""They read vocabularies; those among the model's assets belong to it."""
CACHES = frozenset({"CacheDataset", "CacheDatasetV2"})
"""In memory when the path is empty."""


@cache
def _registry() -> tuple[frozenset[str], frozenset[str]]:
    """All names, and those of operations that call functions."""
    lines = files("modelscan.formats.tensorflow").joinpath("operations.txt").read_text(encoding="ascii").split()
    return frozenset(line.rstrip("*") for line in lines), frozenset(line.rstrip("*") for line in lines if line.endswith("*"))


def is_known(op: str) -> bool:
    """Whether TensorFlow itself has the operation."""
    return op in _registry()[0]


def may_call(op: str) -> bool:
    """Whether an operation can have functions among its attributes: it has by its definition, or nobody knows its definition."""
    known, calling = _registry()
    return op in calling or op not in known
