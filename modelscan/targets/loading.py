"""What keeps Keras 3 or Keras 2 from loading a file, construct by construct, with the error that the user will see.

Measured with Keras 3.15.1 and tf-keras 2.21 on files of Keras 1.1 to 3.15. An obstacle is certain; that there is none proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.model import Model
from modelscan.records import record
from modelscan.topology import Block, BlockKind

KERAS_2, KERAS_3 = "Keras 2", "Keras 3"
PLAIN = "keras-3-only"
"""The one kind that follows from the version alone: every file of today has it, so it is a fact in the report and no finding."""
_GONE = frozenset(
    (
        "AlphaDropoutV1 AtrousConvolution1D AtrousConvolution2D AveragePooling AtrousConv2D Convolution1D Convolution2D Convolution3D "
        "CuDNNGRU CuDNNLSTM Deconvolution2D Highway LocallyConnected1D LocallyConnected2D MaxoutDense Merge RandomFourierFeatures "
        "RandomHeight RandomWidth SlicingOpLambda SyncBatchNormalization TFOpLambda TensorFlowOpLayer ThresholdedReLU TimeDistributedDense"
    ).split()
)
"""Classes that Keras 3 does not have."""
_RECURRENT = frozenset("LSTM GRU SimpleRNN RNN ConvLSTM1D ConvLSTM2D ConvLSTM3D".split())
_KEYS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN"), frozenset({"time_major"})),
    "DepthwiseConv2D": frozenset({"groups"}),
    "MultiHeadAttention": frozenset({"query_shape", "key_shape", "value_shape"}),
}
"""Keys that Keras 2 writes and Keras 3 refuses."""
_INITIALIZERS = ("kernel_initializer", "recurrent_initializer", "embeddings_initializer", "depthwise_initializer", "pointwise_initializer")
_WORDS_FOR_METRICS = frozenset({"mse", "mae", "mape", "msle", "MSE", "MAE", "MAPE", "MSLE"})
_EXAMPLES = 3


@record(frozen=True, slots=True)
class Obstacle:
    """One reason."""

    kind: str
    """Name of the rule, or `PLAIN`."""
    framework: str
    error: str
    """As the framework words it."""
    layers: tuple[str, ...] = ()
    """Paths of the layers that it is about."""

    @property
    def text(self) -> str:
        """The message of a finding."""
        more = f" and {len(self.layers) - _EXAMPLES:,} more" if len(self.layers) > _EXAMPLES else ""
        where = f" ({', '.join(self.layers[:_EXAMPLES])}{more})" if self.layers else ""
        return f"{self.framework} does not load it{where}: {self.error}"


def obstacles(model: Model) -> list[Obstacle]:
    """All that is known of, those of one kind and error together."""
    if not isinstance(model.graph, Block) or model.format not in ("keras", "keras-h5"):
        return []
    found: dict[tuple[str, str, str], list[str]] = {}
    for kind, framework, error, layer in _all(model, model.graph):
        found.setdefault((kind, framework, error), []).extend([layer] if layer else [])
    return [Obstacle(*key, tuple(dict.fromkeys(layers))) for key, layers in found.items()]


def loads_in(model: Model) -> dict[str, bool | None]:
    """False where there is an obstacle, true for the major version that wrote the file, None where nothing is known against it."""
    if not isinstance(model.graph, Block) or model.format not in ("keras", "keras-h5"):
        return {}
    against = {one.framework for one in obstacles(model)}
    own = f"Keras {_major(model)}"
    return {name: False if name in against else True if name == own else None for name in (KERAS_2, KERAS_3)}


def _major(model: Model) -> int:
    version = str(model.producer.get("version") or "1")
    return int(version[0]) if version[:1].isdecimal() else 1


Reason = tuple[str, str, str, str | None]


def _all(model: Model, root: Block) -> Iterator[Reason]:
    major = _major(model)
    if major >= 3:
        if _has_key(root, "batch_shape"):
            yield PLAIN, KERAS_2, "Unrecognized keyword arguments: ['batch_shape']", None
        else:
            yield PLAIN, KERAS_2, "Unknown configuration of Keras 3", None
    else:
        yield from _file(model, root)
        for block in _below(root):
            yield from _layer(block)
        yield from _compiled(model)
    for block in _below(root):
        yield from _any_version(block)
    if any(one.dtype == "bfloat16" for one in model.tensors) and (major < 3 or model.format == "keras-h5"):
        for framework in (KERAS_2, KERAS_3):
            yield "nameless-bfloat16", framework, "No cast function available.", None


def _file(model: Model, root: Block) -> Iterator[Reason]:
    """What concerns a file of Keras 1 or 2 as a whole."""
    if root.kind is BlockKind.SEQUENTIAL and root.config.keys() == {"layers"}:
        yield "keras-1-sequential", KERAS_3, "pop expected at most 1 argument, got 2", None
    if model.format == "keras" and root.kind is BlockKind.FUNCTIONAL:
        error = "Could not deserialize class 'Functional' because its parent module keras.src.engine.functional cannot be imported."
        yield "keras-2-archive", KERAS_3, error, None
    if model.format == "keras-h5" and root.kind is BlockKind.FUNCTIONAL:
        inner = [one.path for one in root.blocks if one.blocks]
        for path in inner:
            error = "Invalid Functional model configuration. The graph of layers in the model has loops or disconnected nodes"
            yield "nested-functional", KERAS_3, error, path


def _layer(block: Block) -> Iterator[Reason]:
    """What Keras 3 refuses of a layer as Keras 2 wrote it."""
    name = block.class_name.rpartition(">")[2]
    if name in _GONE:
        yield "layer-gone", KERAS_3, f"Unknown layer: '{name}'. Please ensure you are using a `keras.utils.custom_object_scope`", block.path
    unknown = {key: block.config[key] for key in sorted(_KEYS.get(name, frozenset()) & block.config.keys())}
    if unknown:
        yield "keyword-gone", KERAS_3, f"Unrecognized keyword arguments passed to {name}: {_told(unknown)}", block.path
    for entry in (block.config.get("layer"), block.config.get("backward_layer")):
        inner = entry.get("config") if isinstance(entry, Mapping) else None
        kind = entry.get("class_name") if isinstance(entry, Mapping) else None
        if isinstance(inner, Mapping) and isinstance(kind, str) and kind in _RECURRENT and "time_major" in inner:
            yield (
                "keyword-gone",
                KERAS_3,
                f"Unrecognized keyword arguments passed to {kind}: {_told({'time_major': inner['time_major']})}",
                (block.path),
            )
    for key in _INITIALIZERS:
        entry = block.config.get(key)
        config = entry.get("config") if isinstance(entry, Mapping) else None
        if isinstance(config, Mapping) and "dtype" in config and isinstance(entry, Mapping):
            error = f"{entry.get('class_name')}.__init__() got an unexpected keyword argument 'dtype'"
            yield "initializer-keyword-gone", KERAS_3, error, block.path
    score = block.config.get("score_mode")
    if name == "Attention" and isinstance(score, str) and score not in ("dot", "concat"):
        yield "keyword-gone", KERAS_3, "Invalid value for argument score_mode. Expected one of {'dot', 'concat'}.", block.path


def _any_version(block: Block) -> Iterator[Reason]:
    """What Keras 3 refuses whoever wrote it."""
    function = block.config.get("function")
    if block.class_name == "Lambda" and not isinstance(function, str):
        error = "Requested the deserialization of a `Lambda` layer whose `function` is a Python lambda"
        yield "lambda-refused", KERAS_3, error, block.path
    if "/" in block.name:
        yield "slash-in-name", KERAS_3, "Argument `name` must be a string and cannot contain character `/`.", block.path


def _compiled(model: Model) -> Iterator[Reason]:
    """What fails only with `compile=True`, which is the default."""
    config = model.facts.get("training_config")
    words = sorted(_words(config) & _WORDS_FOR_METRICS) if isinstance(config, Mapping) else []
    if words:
        error = f"Could not deserialize 'keras.metrics.{words[0]}' because it is not a KerasSaveable subclass; compile=False avoids it"
        yield "compile-refused", KERAS_3, error, None


def _words(value: Any) -> set[str]:
    """All texts below `loss` and `metrics`, the keys that name outputs left out."""
    pending, found = [value.get("loss"), value.get("metrics")], set[str]()
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            found.add(one)
        elif isinstance(one, Mapping):
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)
    return found


def _below(block: Block) -> Iterator[Block]:
    """All layers of a model, those of models in it included."""
    pending = list(reversed(block.blocks))
    while pending:
        one = pending.pop()
        yield one
        pending.extend(reversed(one.blocks))


def _has_key(root: Block, key: str) -> bool:
    return any(key in one.config for one in _below(root))


def _told(values: Mapping[str, Any]) -> str:
    text = repr(dict(values))
    return text if len(text) <= 120 else f"{text[:117]}…"
