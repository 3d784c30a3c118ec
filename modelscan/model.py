"""The vocabulary: what one model file holds and what it claims, as frozen data, the same for every format.

The way through: a format's reader makes a `Model` (layers with their configuration and the tensors claimed for them, or
an operator graph); a catalogue under `layers` derives what each layer *should* hold (`WeightSpec`, shapes); `accounting`
reconciles the two into an `Account` per layer; rules make `Finding`s; `ledger` holds the plain data that is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from math import prod
from typing import Any

from modelscan.formula import Dim, Formula, elements
from modelscan.records import record

Shape = tuple[int | str | None, ...]
"""A shape; `None` is an unknown or dynamic dimension, a string a symbolic one."""


def shape_text(shape: Iterable[int | str | None]) -> str:
    """A shape as Python writes a tuple, `?` where unknown: `(3, 3, ?, 32)`."""
    parts = ["?" if size is None else str(size) for size in shape]
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


class Verdict(StrEnum):
    """What the reconciliation of one layer came to."""

    __hash__ = str.__hash__  # that of enumerations is a Python function

    MATCH = "match"
    """Formula and store agree, and every dimension has a witness besides the weights."""
    INFERRED = "inferred"
    """They agree, but a dimension had to be read off the stored weights."""
    MISMATCH = "mismatch"
    """A stored tensor has another shape, dtype or byte length than the layer's configuration asks for."""
    MISSING = "missing"
    """A weight that the layer must have is not stored."""
    EXTRA = "extra"
    """A tensor is stored for the layer that its configuration does not ask for."""
    UNKNOWN = "unknown"
    """No formula for this layer type; its stored tensors are listed and counted."""
    EMPTY = "empty"
    """No parameters by formula and none stored."""


class Severity(StrEnum):
    """How grave a finding is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """4 for critical down to 0 for info."""
        return 4 - list(Severity).index(self)


class Kind(StrEnum):
    """What a stored tensor is there for."""

    __hash__ = str.__hash__  # that of enumerations is a Python function

    WEIGHT = "weight"
    CONSTANT = "constant"
    """No weight: a shape, an axis, a table of indices in an operator graph."""
    OPTIMIZER = "optimizer"
    STATE = "state"
    """Metrics, counters, seeds: neither weight nor optimizer state."""


@record(frozen=True, slots=True)
class StoredTensor:
    """What the file holds: never its values until they are asked for."""

    name: str
    """Full name or path in the file."""
    shape: tuple[int, ...]
    dtype: str
    """Canonical name (see `dtypes`); an unknown type keeps the file's own word for it."""
    nbytes: int | None = None
    """Bytes that the payload takes in the file, None if the file does not tell."""
    file: str | None = None
    """The file or archive member that holds the payload, None for the model file itself."""
    offset: int | None = None
    """Where the payload begins in that file, None when it has no single place (chunked, compressed, typed field)."""
    kind: Kind = Kind.WEIGHT
    encoding: str = "raw"
    """How the payload is laid out: `raw` little-endian, otherwise a word that the format's value reader knows."""

    @property
    def elements(self) -> int:
        """Product of the dimensions."""
        return prod(self.shape)

    def of_kind(self, kind: Kind) -> StoredTensor:
        """The same tensor, told to be of another kind; not by `replace`, since a large model has a hundred thousand."""
        if self.kind is kind:
            return self
        return StoredTensor(self.name, self.shape, self.dtype, self.nbytes, self.file, self.offset, kind, self.encoding)


FLOATING = "floating"
"""As a spec's dtype: any floating-point type will do."""


@record(frozen=True, slots=True)
class WeightSpec:
    """What a layer should hold for one of its weights."""

    role: str
    """The framework's word for it: `kernel`, `recurrent_kernel`, `moving_mean`; unique within the layer
    (`forward_layer/kernel` in wrappers)."""
    dims: tuple[Dim, ...]
    dtype: str | None = None
    """Expected element type, None when any will do."""
    trainable: bool | None = True
    """None where the format cannot tell."""
    key: str | None = None
    """Where the reader finds it among the layer's stored tensors (`cell/vars/0`), for pairing by place instead of name."""
    multiplied: bool = False
    """Whether each element takes part in one multiplication per position of the output (kernels: yes, biases: no)."""
    logical: tuple[Dim, ...] | None = None
    """The dimensions before packing, where the stored ones are packed (4-bit kernels)."""
    counted: bool = True
    """False for what is stored but is no parameter of the layer (scales and zero points of an ONNX quantisation)."""
    optional: bool = False
    """True when a file without it is still right (a state that not every version stores)."""
    embedded: bool = False
    """Whether the values stand in an attribute of the operator (tree ensembles): counted by formula, no stored tensor is compared."""
    added: bool = False
    """Whether loading makes it anew where the file leaves it out (LoRA's matrices, merged into the kernel on saving): counted even so."""

    @property
    def elements(self) -> int | None:
        """The weight's element count, the product of its dimensions; None where one is unknown."""
        return elements(self.dims)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The expected shape, None where a dimension is unknown."""
        return tuple([one.value for one in self.dims])


@record(frozen=True, slots=True)
class Claim:
    """A stored tensor that belongs to a layer, with the role it was paired to."""

    tensor: StoredTensor
    key: str
    """Its place within the layer's part of the file (`cell/vars/0`, `kernel`)."""
    role: str | None = None
    """The `WeightSpec.role` it stands for; None while or if no spec was found for it."""
    copy: bool = False
    """A second stored copy of that role's weight (SpectralNormalization's kernel): checked like the first, counted once."""
    seen: tuple[int, ...] | None = None
    """The shape in which the layer's operator gets it, where static operators (Transpose, Reshape, Slice) stand between
    the store and the layer; the spec's dimensions are of this shape. None: the stored one."""
    part: str | None = None
    """Which part of the tensor, where several layers share one (`rows 0:64`): parts count each for itself."""
    trainable: bool | None = None
    """What the file says of this tensor's being trained, for a layer without a formula; None when it says nothing."""


@record(frozen=True, slots=True)
class Layer:
    """One building block, with weights or without."""

    name: str
    path: str
    """Unique in the model: names of the enclosing containers and its own, joined with `/`."""
    type: str
    """Class or operator, as the author's framework calls it (`Conv2D`, `torch.nn.Linear`, `LSTM`)."""
    depth: int = 0
    inbound: tuple[str, ...] = ()
    """Paths of the layers that feed it."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Hyperparameters as the file states them."""
    input_shapes: tuple[Shape, ...] = ()
    output_shapes: tuple[Shape, ...] = ()
    specs: tuple[WeightSpec, ...] | None = None
    """What it should hold; None when no formula is known for the type, or before derivation."""
    claims: tuple[Claim, ...] = ()
    """What the file holds for it."""
    container: bool = False
    """A model or scope whose layers follow with a greater depth; its counts are the sums of theirs."""
    positions: int | None = None
    """How often the multiplied weights are applied for one sample (output positions, time steps); None if unknown."""
    extra_macs: int | None = 0
    """Multiply-accumulates that involve no weight (attention scores); None if unknown."""
    trainable: bool | None = True
    """The layer's own switch and that of every container around it."""
    note: str | None = None
    """One sentence that belongs beside the number (two biases in ONNX's LSTM, LoRA merged on saving)."""


@record(frozen=True, slots=True)
class TensorInfo:
    """An input or output of the model."""

    name: str
    dtype: str | None
    shape: Shape | None


@record(frozen=True, slots=True)
class Observation:
    """Something that a reader or a catalogue noticed; the rule of the same name judges it."""

    kind: str
    """Name of the rule, kebab-case."""
    message: str
    layer: str | None = None
    tensor: str | None = None
    offset: int | None = None
    where: str | None = None
    """Field path, member or node, outermost first, joined with ` > `."""
    severity: Severity | None = None
    """Set where the case is graver or milder than the rule's usual one."""


@record(frozen=True, slots=True)
class Model:
    """The format-neutral result of reading one file."""

    format: str
    """`onnx`, `keras`, `keras-h5`, `keras-weights`, `savedmodel`, `checkpoint` or `graphdef`."""
    catalogue: str
    """Which catalogue under `layers` derives its layers: `keras`, `onnx`, `tensorflow`."""
    name: str | None = None
    model_type: str | None = None
    """`Sequential`, `Functional`, a class or graph name."""
    producer: Mapping[str, str] = field(default_factory=dict)
    """`framework`, `version` and whatever else the file says of its writer."""
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    layers: Sequence[Layer] = ()
    """In the order of the framework's own summary; a container before its layers. A `series.Series` where blocks repeat."""
    tensors: tuple[StoredTensor, ...] = ()
    """Everything stored, claimed by a layer or not, optimizer state and constants included."""
    observations: tuple[Observation, ...] = ()
    graph: Any = None
    """The operator graph (`graph.Graph`) where the format has one; the catalogue reads it, rules may."""
    program: Any = None
    """What a TensorFlow file says beside its stored tensors (`program.Program`): graphs, functions, objects, Keras metadata."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further plain facts that rules read (opset imports, Keras' compile configuration, archive members)."""
    trainable_known: bool = True
    """False where the format cannot tell trainable from non-trainable parameters."""


@record(frozen=True, slots=True)
class Row:
    """One line of an account: what should be there, what is there."""

    spec: WeightSpec | None
    """With the symbols that only the stored shape told filled in, their witness left None."""
    tensor: StoredTensor | None
    verdict: Verdict = Verdict.MATCH
    problem: str | None = None
    """What does not agree, None if all does."""
    copy: bool = False
    """A second stored copy of a weight that has a row already."""
    tied: bool = False
    """The same stored tensor was counted before, in another layer or role."""


@record(frozen=True, slots=True)
class Account:
    """One layer's reconciliation."""

    layer: Layer
    verdict: Verdict
    formula: Formula | None
    """None when no formula is known, or for a container."""
    rows: tuple[Row, ...] = ()
    parameters: int | None = 0
    """By formula; from the store when no formula is known; None when neither tells."""
    trainable: int | None = 0
    non_trainable: int | None = 0
    tied: int = 0
    """Of `parameters`, those that another layer has brought already and the total leaves out."""
    logical: int | None = None
    """Parameters before packing, where it differs."""
    macs: int | None = None
    nbytes: int = 0


@record(frozen=True, slots=True)
class Finding:
    """A rule's statement about a file, layer or tensor."""

    code: str
    name: str
    severity: Severity
    message: str
    layer: str | None = None
    tensor: str | None = None
    offset: int | None = None
    where: str | None = None
    help: str | None = None


@record(frozen=True, slots=True)
class Totals:
    """The sums over one model. Counts are elements, sizes are bytes; None where the file cannot tell."""

    total: int | None = None
    """By formula, a tied weight once; equals Keras' "Total params"."""
    trainable: int | None = None
    non_trainable: int | None = None
    optimizer: int = 0
    stored: int = 0
    """Elements of the stored tensors that are weights."""
    constants: int = 0
    """Elements of stored tensors that are neither weights nor optimizer state."""
    explained: int = 0
    """Of `stored`: elements in layers with verdict match or inferred."""
    independent: int = 0
    """Of `explained`: those with verdict match."""
    by_dtype: Mapping[str, int] = field(default_factory=dict)
    """Elements of the stored weights by element type."""
    weight_bytes: int = 0
    macs: int | None = None
    logical: int | None = None
    """Parameters before packing, where it differs from `total`."""
