"""Every bound on untrusted input, in one place.

A reader checks a length against the bytes that are there *and* against these limits before it allocates or loops.
Passing one raises `errors.LimitExceeded`, which becomes the finding `limit-exceeded`.
"""

from __future__ import annotations

from modelscan.records import record

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@record(frozen=True, slots=True)
class Limits:
    """Bounds for reading one file. Counts are items, sizes are bytes, times are seconds."""

    json_bytes: int = 256 * MIB
    """Size of one JSON document (`config.json`, `model_config`)."""
    json_depth: int = 400
    """Nesting of lists and objects in a JSON document."""
    name_bytes: int = 64 * KIB
    """Length of one name (tensor, node, layer, member)."""
    archive_members: int = 100_000
    """Entries in an archive's directory."""
    archive_directory_bytes: int = 64 * MIB
    """Size of a zip archive's directory."""
    peeked_bytes: int = 16 * MIB
    """Bytes of a tar archive that are looked through to find a SavedModel in it, while a folder is searched."""
    mlmodel_bytes: int = 256 * KIB
    """Size of MLflow's `MLmodel`."""
    mlmodel_depth: int = 20
    """Nesting of mappings and lists in an `MLmodel`."""
    inflate_ratio: int = 200
    """Inflated size of a compressed member against its stored size."""
    inflate_bytes: int = 1 * GIB
    """Inflated size of one compressed member."""
    hdf5_objects: int = 1_000_000
    """Groups and datasets visited in one HDF5 file."""
    hdf5_attributes: int = 2_000
    """Attributes of one object in an HDF5 file; Keras splits what it writes into pieces of 64 KiB."""
    hdf5_depth: int = 64
    """Nesting of groups in an HDF5 file."""
    layers: int = 200_000
    """Layers in one configuration, nested ones included."""
    outputs: int = 65_536
    """Tensors that one call of a layer yields."""
    nesting: int = 100
    """Models in models, wrappers in wrappers, subgraphs in subgraphs, messages in messages."""
    nodes: int = 1_000_000
    """Operator nodes of one graph, in all scopes."""
    tensors: int = 250_000
    """Stored tensors in one file."""
    values: int = 65_536
    """Inputs, outputs and attributes of one operator node; occurrences of one top-level field."""
    rank: int = 64
    """Dimensions of one tensor."""
    elements: int = 2**62
    """Elements of one tensor."""
    kept_payload: int = 4 * KIB
    """Tensor payloads up to this size stay in the skeleton: small constants (shapes, axes) steer shape inference."""
    skeleton_bytes: int = 512 * MIB
    """Size of a file's structure, payloads left out."""
    index_bytes: int = 512 * MIB
    """Size of a checkpoint's index, blocks inflated."""
    inlined_nodes: int = 1_000_000
    """Nodes after model-local functions have been viewed inlined."""
    inlined_free: int = 50_000
    inlined_ratio: int = 50
    """Those nodes against the ones in the file, beyond the number that is free."""
    worker_seconds: float = 120.0
    """Time that a child process may take for one file."""
    worker_memory: int = 4 * GIB
    """Address space of a child process."""
    worker_files: int = 256
    """Files that a child process may have open."""


LARGEST_SIZE = 2**31 - 1
"""Of a dimension that the user gives: a larger one would only be found to be too large for everything."""
DEFAULT = Limits()
