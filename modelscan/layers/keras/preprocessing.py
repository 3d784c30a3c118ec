"""Preprocessing and augmentation layers: weightless but for what lookups and spectrograms keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from modelscan.formula import dim
from modelscan.layers.keras.registry import BadConfigError, Config, Derived, layer, same
from modelscan.model import Shape, WeightSpec

_AUGMENTATIONS = (
    "RandomFlip RandomRotation RandomTranslation RandomZoom RandomContrast RandomBrightness RandomSaturation RandomHue RandomGrayscale "
    "RandomShear RandomPerspective RandomElasticTransform RandomGaussianBlur RandomSharpness RandomPosterization RandomColorJitter "
    "RandomColorDegeneration RandomErasing RandomInvert RandAugment AugMix CutMix MixUp AutoContrast Equalization Solarization "
    "ContrastLimitedAdaptiveHistogramEqualization "
    "MaxNumBoundingBoxes Rescaling"
)
for _name in _AUGMENTATIONS.split():
    layer(_name)(same)


@layer("Pipeline")
def pipeline(c: Config) -> Derived | None:
    """One preprocessing layer after the other; with weights among them nothing is known of where they would be stored."""
    shapes = c.inputs[:1]
    entries = c.get("layers")
    for entry in entries if isinstance(entries, list) else []:
        inner = c.inner(entry, shapes)
        if inner.weights:
            return None
        shapes = tuple(inner.outputs[:1])
    return Derived((), shapes or (None,), 0)


@layer("Resizing", "CenterCrop", "RandomCrop")
def resized(c: Config) -> Derived:
    """Height and width as configured; source: `keras/src/layers/preprocessing/image_preprocessing/`."""
    if c.input is None or len(c.input) not in (3, 4):
        return Derived((), (None,), 0)
    size = (c.integer("height"), c.integer("width"))
    first = c.channels_first
    at = len(c.input) - (2 if first else 3)
    return Derived((), ((*c.input[:at], *size, *c.input[at + 2 :]),), 0)


@layer("RandomHeight", "RandomWidth")
def random_extent(c: Config) -> Derived:
    """One extent becomes unknown."""
    if c.input is None or len(c.input) < 3:
        return Derived((), (None,), 0)
    shape = list(c.input)
    shape[-3 if c.type == "RandomHeight" else -2] = None
    return Derived((), (tuple(shape),), 0)


@layer("Hashing")
def hashing(c: Config) -> Derived:
    """One number per element, or a vector of bins; Keras 3 declares one vector for the last axis in every mode."""
    bins = c.integer("num_bins")
    if c.version is not None and c.version >= (3, 0) and c.input is not None and c.get("output_mode", "int") != "int":
        return Derived((), ((*c.input[:-1], bins),), 0)
    return _encoded(c, bins)


@layer("CategoryEncoding")
def category_encoding(c: Config) -> Derived:
    """Multi-hot, one-hot or counts over the tokens."""
    shape, size = c.input, c.integer("num_tokens")
    if shape is None:
        return Derived((), (None,), 0)
    if c.get("output_mode", "multi_hot") == "one_hot":
        return Derived((), ((*shape[:-1], size) if shape and shape[-1] == 1 else (*shape, size),), 0)
    return Derived((), ((*shape[:-1], size),), 0)


@layer("HashedCrossing")
def hashed_crossing(c: Config) -> Derived:
    """As hashing, over a pair of features."""
    return _encoded(c, c.integer("num_bins"))


_OWN_SHAPES = (3, 14)
"""Since which version lookups and bins declare what they yield; before, a vector per sample or the input's shape in every mode."""


@layer("Discretization")
def discretization(c: Config) -> Derived:
    """Bin numbers or vectors of bins. tf.keras stores the summary that it adapted to, which is no parameter."""
    array = isinstance(c.get("bin_boundaries"), Mapping)  # a NumPy array in Keras 3's words
    bins = () if array else c.listed("bin_boundaries")
    size = None if array else len(bins) + 1 if bins else c.get("num_bins")
    derived = _encoded(c, size if isinstance(size, int) else None)
    if (3, 0) <= (c.version or (0, 0)) < _OWN_SHAPES:  # whose `compute_output_spec` gave the input's shape in every mode
        derived = same(c)
    elif (c.version or (0, 0)) >= (3, 0) and c.input is not None and len(c.input) > 2 and c.get("output_mode") in ("multi_hot", "count"):
        derived = Derived((), ((c.input[0], *c.input[2:], size if isinstance(size, int) else None),), 0)
    summary = c.weight(
        "summary", dim("rows", 2, "definition"), dim("bins", None), trainable=False, dtype=None, counted=False, optional=True
    )
    return Derived([summary], derived.outputs, 0)


def _encoded(c: Config, size: int | None) -> Derived:
    """The output of `output_mode`; source: `keras/src/utils/numerical_utils.py`, `encode_categorical_inputs`."""
    shape: Shape | None = c.input
    mode = c.get("output_mode", "int")
    if shape is None or mode == "int":
        return Derived((), (shape,), 0)
    if mode == "one_hot":
        return Derived((), ((*shape[:-1], size) if shape and shape[-1] == 1 else (*shape, size),), 0)
    return Derived((), ((*shape[:-1], size),), 0)


@layer("StringLookup", "IntegerLookup")
def lookup(c: Config) -> Derived:
    """Indices, or vectors as long as the vocabulary. Inverse document frequencies are stored, and no parameters."""
    _check_vocabulary(c)
    if (3, 0) <= (c.version or (0, 0)) < _OWN_SHAPES and c.get("output_mode", "int") != "int" and c.input:
        return Derived(_frequencies(c), ((c.input[0], _vocabulary(c)),), 0)
    return Derived(_frequencies(c), _encoded(c, _vocabulary(c)).outputs, 0)


def _check_vocabulary(c: Config) -> None:
    """What a lookup refuses when it is made; source: `keras/src/layers/preprocessing/index_lookup.py`, `set_vocabulary`."""
    mode = c.get("output_mode", "int")
    if c.flag("invert", False) and mode != "int":
        raise BadConfigError(f"invert goes with output_mode int only, not with {mode}")
    _check_size(c)
    listed = c.get("vocabulary")
    terms = [one for one in listed if isinstance(one, str | int)] if isinstance(listed, list | tuple) else []
    special = {c.get("mask_token"), c.get("oov_token"), ""} if not isinstance(c.get("mask_token"), list | Mapping) else None
    if not terms or len(terms) != len(listed or ()) or special is None or any(one in special for one in terms):
        return  # some vocabularies begin with the special tokens
    if len(set(terms)) < len(terms):
        repeated = next(term for term, count in Counter(terms).items() if count > 1)
        raise BadConfigError(f"the vocabulary has {repeated!r} more than once")
    size, spare = c.get("vocabulary_size"), c.integer("num_oov_indices", 1, least=0)
    fixed = mode != "int" and not c.flag("pad_to_max_tokens", False) and (c.version or (0, 0)) >= (3, 0)
    if fixed and isinstance(size, int) and size != len(terms) + spare:
        raise BadConfigError(f"{len(terms)} terms and {spare} indices for others make no vocabulary of {size}")


def _check_size(c: Config) -> None:
    """The vocabulary that was counted when the file was written has to fit, and what is padded needs a size to be padded to."""
    most, size = c.get("max_tokens"), c.get("vocabulary_size")
    if (c.version or (0, 0)) < (3, 0):
        return
    if isinstance(most, int) and isinstance(size, int) and most < size:
        raise BadConfigError(f"a vocabulary of {size} is more than max_tokens {most}")
    if most is None and c.flag("pad_to_max_tokens", False):
        raise BadConfigError("pad_to_max_tokens goes with max_tokens, which is not given")


@layer("TextVectorization")
def text_vectorization(c: Config) -> Derived:
    """A sequence of token numbers, or a vector per text."""
    _check_size(c)
    mode = c.get("output_mode", "int")
    batch = c.input[0] if c.input else None
    split, keras_3 = c.values.get("split", "whitespace") is not None, (c.version or (0, 0)) >= (3, 0)
    copies = {"_lookup_layer/vars/idf_weights": "idf_weights"}
    if mode == "int":
        length = c.get("output_sequence_length")
        output: Shape | None = (batch, length if isinstance(length, int) else None) if split or keras_3 else c.input
        return Derived(_frequencies(c), (output,), 0, copies=copies)
    if (c.version or (0, 0)) >= _OWN_SHAPES and c.input is not None:  # since then the words of a text are an axis of their own
        shape = (*c.input, None) if split else c.input if len(c.input) > 1 else (*c.input, 1)
        return Derived(_frequencies(c), _encoded(replace(c, inputs=(shape,)), _vocabulary(c)).outputs, 0, copies=copies)
    return Derived(_frequencies(c), ((batch, _vocabulary(c)),), 0, copies=copies)


def _frequencies(c: Config) -> list[WeightSpec]:
    if c.get("output_mode") != "tf_idf":
        return []
    return [
        c.weight("idf_weights", dim("vocabulary", None), trainable=False, dtype=None, counted=False, optional=True, key="vars/idf_weights"),
        c.weight("num_documents", trainable=False, dtype=None, counted=False, optional=True),
    ]


def _vocabulary(c: Config) -> int | None:
    """The vector's length: `max_tokens` if it is padded to that, else the vocabulary with its special tokens if it is told."""
    if c.get("pad_to_max_tokens", False) and isinstance(c.get("max_tokens"), int):
        return c.integer("max_tokens")
    size = c.get("vocabulary_size")
    return size if isinstance(size, int) else None


@layer("STFTSpectrogram")
def stft_spectrogram(c: Config) -> Derived:
    """A real and an imaginary kernel of windowed waves, convolved over time; source: `.../preprocessing/stft_spectrogram.py`."""
    length, step = c.integer("frame_length", 256), c.integer("frame_step", 256)
    fft = c.integer("fft_length", c.integer("frame_length", 256))
    mode = c.get("mode", "log")
    bins = dim("fft_length/2 + 1", fft // 2 + 1, "configuration: fft_length")
    frame = c.stated("frame_length", length, "frame_length")
    one = dim("channels", 1, "definition")
    weights = []
    if mode != "imag":
        weights.append(c.weight("real_kernel", frame, one, bins, multiplied=True))
    if mode != "real":
        weights.append(c.weight("imag_kernel", frame, one, bins, multiplied=True))
    if c.input is None or len(c.input) != 3:
        return Derived(weights, (None,))
    first = c.channels_first
    time, channels = (c.input[2], c.input[1]) if first else (c.input[1], c.input[2])
    frames: int | None = None
    if isinstance(time, int):
        frames = -(-time // step) if c.get("padding", "valid") == "same" else (time - length) // step + 1
        if frames < 1:
            raise BadConfigError(f"a frame of {length} does not fit into an input of {c.input}")
    freq = (fft // 2 + 1) * (2 if mode == "stft" else 1)
    if c.flag("expand_dims", False):
        output: Shape = (c.input[0], channels, frames, freq) if first else (c.input[0], frames, freq, channels)
    else:
        total = freq * channels if isinstance(channels, int) else None
        output = (c.input[0], total, frames) if first else (c.input[0], frames, total)
    return Derived(weights, (output,), frames * channels if frames is not None and isinstance(channels, int) else None)


@layer("MelSpectrogram")
def mel_spectrogram(c: Config) -> Derived:
    """Frequencies over time: source: `.../preprocessing/mel_spectrogram.py`."""
    bins = c.integer("num_mel_bins", 128)
    shape = c.ranked(1)
    if shape is None:
        return Derived((), (None,), 0)
    stride, time = c.integer("sequence_stride", 256), shape[-1]
    frames = (time + stride + 1) // stride if isinstance(time, int) else None
    return Derived((), ((bins, frames) if len(shape) == 1 else (shape[0], bins, frames),), 0)
