"""What a TensorFlow SavedModel, GraphDef or checkpoint says, as frozen data: graphs, functions, objects, entries; never a payload.

Names are TensorFlow's own. A node's inputs are written as the file writes them: `name` or `name:1` in a graph,
`name:output_arg:0` in a function (or the bare name of an argument), `^name` for a control dependency.
Numbers of the source: tensorflow/core/protobuf/{meta_graph,saved_object_graph,trackable_object_graph,tensor_bundle}.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from modelscan.model import Shape, TensorInfo
from modelscan.records import record


@record(frozen=True, slots=True)
class Constant:
    """A tensor that stands in an attribute (`value` of Const); its payload stays in the file."""

    dtype: str
    """Canonical name, see `dtypes`."""
    shape: tuple[int, ...]
    nbytes: int
    """Bytes of the payload in the file; 0 for a tensor without elements or of zeros that are not written."""
    offset: int | None
    """Where the payload begins in the file of the graph; None when there is none."""
    encoding: str = "raw"
    """`raw`: dense little-endian elements (`tensor_content`, or a packed typed field of as many elements as the shape has);
    `typed`: another typed field; `splat`: fewer elements than the shape has, the last one repeated."""
    values: tuple[Any, ...] | None = None
    """The elements, flattened, where they are few (see `Limits.kept_payload`): int, float, bool, str or bytes. None if not decoded."""


@record(frozen=True, slots=True)
class FunctionRef:
    """An attribute that names a function of the library (`f` of PartitionedCall, `body` of While)."""

    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@record(frozen=True, slots=True)
class Placeholder:
    """An attribute inside a function that stands for the attribute `name` of the call."""

    name: str


@record(frozen=True, slots=True)
class Opaque:
    """An attribute's string or bytes too long to be kept; where it is."""

    offset: int
    nbytes: int


@record(frozen=True, slots=True)
class Operation:
    """One node of a graph or of a function."""

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    """As the file writes them (`name`, `name:1`), without control dependencies."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Decoded when first looked at. A type is its canonical name (`float32`, `resource`), a shape a tuple (-1 is None) and an
    unknown rank None; int, float, bool, str (bytes when no UTF-8), `Constant`, `FunctionRef`, `Placeholder`, `Opaque`; a list is
    a tuple of these."""
    device: str = ""
    controls: tuple[str, ...] = ()
    """What has to have run before, as the file writes it (`^name`)."""
    offset: int | None = None
    """Where the node's message lies in the file."""
    nbytes: int = 0


@record(frozen=True, slots=True)
class Argument:
    """A formal input or output of a function."""

    name: str
    dtype: str | None
    """Canonical name, `resource` for a variable's handle; None where the type is an attribute of the call."""
    shape: Shape | None = None
    """From the argument's attributes (`_output_shapes`), None where unknown; for a resource the shape of the handle, `()`."""


@record(frozen=True, slots=True)
class Function:
    """One function of the library, decoded when it is looked up."""

    name: str
    inputs: tuple[Argument, ...] = ()
    """Captured variables and constants are the last ones, in the order of `ConcreteFunction.bound`."""
    outputs: tuple[Argument, ...] = ()
    nodes: tuple[Operation, ...] = ()
    returns: Mapping[str, str] = field(default_factory=dict)
    """Output argument → the value inside the function (`node:output_arg:0`, or an input's name)."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """`forward_function_name`, `_implements`, … of the definition itself."""
    offset: int | None = None
    nbytes: int = 0
    controls: Mapping[str, str] = field(default_factory=dict)
    """What has to have run before it returns, by the name that the caller's side has for it → node."""


@record(frozen=True, slots=True)
class Signature:
    """A named way to call the model."""

    name: str
    method: str = ""
    """`tensorflow/serving/predict`, …"""
    inputs: Mapping[str, TensorInfo] = field(default_factory=dict)
    """By the name the caller uses; `TensorInfo.name` is the tensor in the graph (`serving_default_x:0`)."""
    outputs: Mapping[str, TensorInfo] = field(default_factory=dict)


@record(frozen=True, slots=True)
class Slot:
    """An optimizer's variable that belongs to another variable."""

    original: int
    """Object number of the variable it belongs to."""
    name: str
    """`m`, `v`, `momentum`, …"""
    variable: int
    """Object number of the slot variable itself."""


@record(frozen=True, slots=True)
class SavedVariable:
    """What the object graph says of a variable."""

    dtype: str
    shape: Shape | None
    trainable: bool
    name: str
    """`dense/kernel`: as the author's framework calls it; may be empty."""
    device: str = ""


@record(frozen=True, slots=True)
class SavedObject:
    """One object of a SavedModel's object graph; its number is its place in `MetaGraph.objects`, 0 is the model itself."""

    kind: str
    """`user_object`, `variable`, `function`, `bare_concrete_function`, `constant`, `asset`, `resource`, `captured_tensor` or `""`."""
    children: Mapping[str, int] = field(default_factory=dict)
    """Object numbers by local name."""
    identifier: str = ""
    """Of a user object: `_tf_keras_layer`, `_tf_keras_sequential`, `_generic_user_object`, `optimizer`, …"""
    variable: SavedVariable | None = None
    slots: tuple[Slot, ...] = ()
    functions: tuple[str, ...] = ()
    """Names of concrete functions, of a function object (see `MetaGraph.concrete`)."""
    operation: str = ""
    """Node in the graph that holds the value, of a constant object."""
    asset: int | None = None
    """Place in `MetaGraph.assets`, of an asset object."""
    registered_name: str = ""
    key: str | None = None
    """The checkpoint entry that holds a variable's value (`StoredTensor.name`), None when there is none."""


@record(frozen=True, slots=True)
class ConcreteFunction:
    """A function of the library as the object graph calls it: which objects its last arguments are bound to."""

    name: str
    bound: tuple[int, ...] = ()
    """Object numbers of the captures, one for each of the last arguments, in order."""
    arguments: int | None = None
    """How many tensors a caller gives; None where the file does not tell plainly."""


@record(frozen=True, slots=True)
class Asset:
    """A file in the `assets` folder that the program reads (a vocabulary)."""

    file: str
    """Relative to `assets/`, as the file states it."""
    tensor: str
    """Node that holds its path."""


@record(frozen=True, slots=True)
class MetaGraph:
    """One program of a SavedModel, or the only one of a GraphDef."""

    tags: tuple[str, ...] = ()
    version: str = ""
    """Of TensorFlow when it was written (`2.12.0`)."""
    nodes: tuple[Operation, ...] = ()
    functions: Mapping[str, Function] = field(default_factory=dict)
    """The library by name; a function is decoded when it is looked up, so iterate over names where they will do."""
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    objects: tuple[SavedObject, ...] = ()
    """Empty in TF 1."""
    concrete: Mapping[str, ConcreteFunction] = field(default_factory=dict)
    """By the name of the function."""
    assets: tuple[Asset, ...] = ()
    collections: Mapping[str, tuple[VariableDef, ...]] = field(default_factory=dict)
    """TF 1: variables by collection (`variables`, `trainable_variables`, …); other collections are not kept."""
    variable_keys: Mapping[str, str] = field(default_factory=dict)
    """Variable node of the graph itself (VariableV2, VarHandleOp) → the checkpoint entry that holds its value (`StoredTensor.name`).
    A part of a partitioned variable (`NAME/part_0`) leads to the whole's entry."""
    initializers: frozenset[str] = frozenset()
    """Nodes that initialise or restore (`init_op`, the saver's restore op, `legacy_init_op`)."""

    @property
    def title(self) -> str:
        """The tags as people write them: `serve`, `serve,gpu`."""
        return ",".join(self.tags)


@record(frozen=True, slots=True)
class VariableDef:
    """TF 1's note about a variable in a collection."""

    name: str
    """`dense/kernel:0`."""
    initializer: str
    snapshot: str
    """The tensor that reads it."""
    trainable: bool
    full_name: str | None = None
    """Of the whole variable that this one is a slice of; None when it is whole."""
    full_shape: tuple[int, ...] = ()
    offset: tuple[int, ...] = ()
    """Where the slice begins in the whole variable."""
    shape: tuple[int, ...] = ()
    """Of the slice."""


@record(frozen=True, slots=True)
class KerasNode:
    """What Keras 2 wrote of one layer, metric or model beside the object graph (`keras_metadata.pb`, or inline until TF 2.4)."""

    node: int
    """Object number in the object graph."""
    path: str
    """`root`, `root.layer_with_weights-0`, …; empty when inline."""
    identifier: str
    """`_tf_keras_model`, `_tf_keras_sequential`, `_tf_keras_layer`, `_tf_keras_rnn_layer`, `_tf_keras_metric`, …"""
    metadata: Mapping[str, Any]
    """The JSON: `class_name`, `name`, `config`, `trainable`, `batch_input_shape`, `build_input_shape`, `shared_object_id`,
    `training_config`, …; empty when it cannot be parsed."""
    offset: int | None = None
    nbytes: int = 0


@record(frozen=True, slots=True)
class Extent:
    """The part of a partitioned variable that one entry holds."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]


@record(frozen=True, slots=True)
class Entry:
    """One value of a checkpoint, as the index describes it."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    nbytes: int
    crc32c: int
    """Masked, as stored."""
    slices: tuple[Entry, ...] = ()
    """The parts of a partitioned variable, each with its `extent`; the whole has no bytes of its own."""
    extent: Extent | None = None


@record(frozen=True, slots=True)
class Shard:
    """One data file of a checkpoint."""

    file: str
    """Relative to the model's folder."""
    nbytes: int | None
    """None when it is not there."""


@record(frozen=True, slots=True)
class Trackable:
    """One object of a checkpoint's own object graph; numbers differ from those of the SavedModel."""

    children: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    """Checkpoint key by attribute name (`VARIABLE_VALUE`)."""
    full_name: str = ""
    """The variable's name (`dense/kernel`), where the file tells."""
    slots: tuple[Slot, ...] = ()


@record(frozen=True, slots=True)
class Checkpoint:
    """A tensor bundle: the index, and the measure of its shards."""

    prefix: str
    """Path of the bundle without `.index` (`variables/variables`)."""
    shards: tuple[Shard, ...]
    entries: Mapping[str, Entry]
    """By key, in the order of the index; string tensors and the object graph included, slices under their whole only."""
    objects: tuple[Trackable, ...] = ()
    """Empty in TF 1 and where the shard that holds them is not there."""
    big_endian: bool = False


@record(frozen=True, slots=True)
class Program:
    """Everything that a SavedModel folder, a checkpoint or a GraphDef says."""

    metagraphs: tuple[MetaGraph, ...] = ()
    checkpoint: Checkpoint | None = None
    keras: tuple[KerasNode, ...] = ()
    """In the order of the file; the model itself first."""
    copies: Mapping[str, str] = field(default_factory=dict)
    """Entries that hold the same variable once more (Keras 3's `export` stores each under `variables` and `_all_variables`) → the entry
    that counts."""
    file: str | None = None
    """The file that offsets of nodes and constants count in, relative to the model's folder; None for the artifact itself."""

    def variables(self) -> Iterator[tuple[int, SavedObject]]:
        """Number and object of every variable of the first MetaGraph that has an object graph."""
        for graph in self.metagraphs:
            if graph.objects:
                yield from ((number, one) for number, one in enumerate(graph.objects) if one.variable is not None)
                return
