"""Every layer class of Keras with the options that change its weights or shapes, for seeded sampling."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

YES_NO = (True, False)
SEQUENCE, IMAGE, VOLUME = (9, 6), (10, 11, 6), (8, 9, 7, 6)
BY_RANK = {1: SEQUENCE, 2: IMAGE, 3: VOLUME}
PADDING = ("valid", "same")


@dataclass(frozen=True)
class Case:
    """One configuration: class, arguments, input shapes without the batch."""

    name: str
    arguments: dict[str, Any]
    inputs: tuple[tuple[int | None, ...], ...]
    dtype: str = "float32"


Options = dict[str, tuple[Any, ...]]


def spatial(rank: int, **more: tuple[Any, ...]) -> Options:
    return {"padding": PADDING, "data_format": (None, "channels_last", "channels_first")} | more


def _tables() -> dict[str, tuple[list[tuple[tuple[int | None, ...], ...]], Options]]:
    """Class → possible inputs, options."""
    table: dict[str, tuple[list[Any], Options]] = {
        "Dense": ([((7,),), ((5, 7),), ((3, 4, 7),), ((None, 7),)], {"units": (1, 5), "use_bias": YES_NO, "lora_rank": (None, 2)}),
        "EinsumDense": (
            [((6, 8),)],
            {
                "equation|output_shape|bias_axes": (
                    ("abc,cd->abd", (None, 5), "d"),
                    ("abc,cd->abd", (6, 5), "bd"),
                    ("abc,cde->abde", (None, 3, 4), "de"),
                    ("abc,cd->abd", (None, 5), None),
                    ("...c,cd->...d", (5,), "d"),
                    ("ab...,bc->ac...", (5, None), "c"),
                )
            },
        ),
        "Embedding": ([((5,),), ((3, 4),)], {"input_dim": (11, 20), "output_dim": (3, 8), "mask_zero": YES_NO, "lora_rank": (None, 2)}),
        "ReversibleEmbedding": ([((5,),)], {"input_dim": (11,), "output_dim": (4,), "tie_weights": YES_NO}),
        "BatchNormalization": ([((8,),), (IMAGE,), (SEQUENCE,)], {"axis": (-1, 1), "scale": YES_NO, "center": YES_NO, "renorm": YES_NO}),
        "LayerNormalization": ([((8,),), (IMAGE,), (SEQUENCE,)], {"axis": (-1, 1, [1, -1]), "scale": YES_NO, "center": YES_NO}),
        "RMSNormalization": ([((8,),), (IMAGE,)], {"axis": (-1, 1)}),
        "GroupNormalization": ([((8,),), (SEQUENCE,), (IMAGE,)], {"groups": (2, 1, -1), "axis": (-1,), "scale": YES_NO, "center": YES_NO}),
        "PReLU": ([((8,),), (IMAGE,), (SEQUENCE,)], {"shared_axes": (None, [1])}),
        "Normalization": ([((8,),), (IMAGE,)], {"axis": (-1, 1, None), "mean|variance": ((None, None), (0.5, 2.0))}),
        "MultiHeadAttention": (
            [((5, 8), (5, 8)), ((5, 8), (7, 6)), ((5, 8), (7, 6), (7, 9)), ((3, 4, 8), (3, 4, 8))],
            {"num_heads": (1, 3), "key_dim": (4, 5), "value_dim": (None, 6), "use_bias": YES_NO, "output_shape": (None, 7)},
        ),
        "GroupQueryAttention": (
            [((5, 8), (5, 8))],
            {"head_dim": (4, 5), "num_query_heads": (4,), "num_key_value_heads": (2, 4), "use_bias": YES_NO},
        ),
        "Attention": ([((5, 8), (5, 8)), ((5, 8), (7, 8))], {"use_scale": YES_NO, "score_mode": ("dot", "concat")}),
        "AdditiveAttention": ([((5, 8), (7, 8))], {"use_scale": YES_NO}),
        "STFTSpectrogram": (
            [((400, 2),)],
            {"mode": ("log", "real", "imag", "stft"), "frame_length": (64,), "frame_step": (32,), "expand_dims": YES_NO},
        ),
    }
    for rank in (1, 2, 3):
        shape = [(BY_RANK[rank],)]
        table[f"Conv{rank}D"] = (
            shape,
            spatial(rank, filters=(4, 6), kernel_size=(1, 3), strides=(1, 2), dilation_rate=(1, 2), groups=(1, 2), use_bias=YES_NO),
        )
        table[f"Conv{rank}DTranspose"] = (shape, spatial(rank, filters=(4, 5), kernel_size=(2, 3), strides=(1, 2), use_bias=YES_NO))
        if rank < 3:
            table[f"DepthwiseConv{rank}D"] = (
                shape,
                spatial(rank, kernel_size=(1, 3), depth_multiplier=(1, 2), strides=(1, 2), use_bias=YES_NO),
            )
            table[f"SeparableConv{rank}D"] = (
                shape,
                spatial(rank, filters=(4,), kernel_size=(2, 3), depth_multiplier=(1, 2), use_bias=YES_NO),
            )
        table[f"ConvLSTM{rank}D"] = (
            [((3, *BY_RANK[rank]),)],
            {
                "filters": (2, 3),
                "kernel_size": (1, 2),
                "padding": PADDING,
                "use_bias": YES_NO,
                "return_sequences": YES_NO,
                "return_state": YES_NO,
            },
        )
        for kind in ("Max", "Average"):
            table[f"{kind}Pooling{rank}D"] = (shape, spatial(rank, pool_size=(2, 3), strides=(None, 1)))
            table[f"Global{kind}Pooling{rank}D"] = (shape, {"keepdims": YES_NO, "data_format": (None, "channels_first")})
        table[f"ZeroPadding{rank}D"] = (shape, {"padding": (1, 2)})
        table[f"Cropping{rank}D"] = (shape, {"cropping": (1, 2)})
        table[f"UpSampling{rank}D"] = (shape, {"size": (2, 3)})
    for name in ("SimpleRNN", "LSTM", "GRU"):
        more: Options = {"reset_after": YES_NO} if name == "GRU" else {}
        table[name] = (
            [((5, 7),), ((None, 7),)],
            {"units": (1, 4), "use_bias": YES_NO, "return_sequences": YES_NO, "return_state": YES_NO, "go_backwards": YES_NO} | more,
        )
    return table


WITHOUT_WEIGHTS: dict[str, tuple[tuple[tuple[int | None, ...], ...], Options]] = {
    "Activation": (((5,),), {"activation": ("relu", "tanh")}),
    "ReLU": (((5,),), {"max_value": (None, 6.0)}),
    "LeakyReLU": (((5,),), {}),
    "ELU": (((5,),), {}),
    "Softmax": (((5,),), {}),
    "Dropout": (((5,),), {"rate": (0.5,)}),
    "SpatialDropout1D": ((SEQUENCE,), {"rate": (0.5,)}),
    "SpatialDropout2D": ((IMAGE,), {"rate": (0.5,)}),
    "SpatialDropout3D": ((VOLUME,), {"rate": (0.5,)}),
    "AlphaDropout": (((5,),), {"rate": (0.5,)}),
    "GaussianDropout": (((5,),), {"rate": (0.5,)}),
    "GaussianNoise": (((5,),), {"stddev": (0.5,)}),
    "ActivityRegularization": (((5,),), {"l1": (0.1,)}),
    "UnitNormalization": (((5,),), {}),
    "Masking": ((SEQUENCE,), {}),
    "Identity": (((5,),), {}),
    "Flatten": ((IMAGE,), {}),
    "Reshape": (((12,),), {"target_shape": ((3, 4), (2, -1), (-1,))}),
    "Permute": ((IMAGE,), {"dims": ((2, 1, 3), (3, 2, 1))}),
    "RepeatVector": (((5,),), {"n": (3,)}),
    "Rescaling": ((IMAGE,), {"scale": (0.5,)}),
    "Resizing": ((IMAGE,), {"height": (5,), "width": (4,)}),
    "CenterCrop": ((IMAGE,), {"height": (5,), "width": (4,)}),
    "RandomCrop": ((IMAGE,), {"height": (5,), "width": (4,)}),
    "RandomFlip": ((IMAGE,), {}),
    "RandomRotation": ((IMAGE,), {"factor": (0.1,)}),
    "RandomTranslation": ((IMAGE,), {"height_factor|width_factor": ((0.1, 0.1),)}),
    "RandomZoom": ((IMAGE,), {"height_factor": (0.1,)}),
    "RandomContrast": ((IMAGE,), {"factor": (0.1,)}),
    "RandomBrightness": (((8, 8, 3),), {"factor": (0.1,)}),
    "CategoryEncoding": (((5,),), {"num_tokens": (7,), "output_mode": ("multi_hot", "count")}),
    "Discretization": (((5,),), {"bin_boundaries": ([0.0, 1.0],), "output_mode": ("int", "multi_hot")}),
    "Add": (((5, 4), (5, 4)), {}),
    "Subtract": (((5, 4), (5, 4)), {}),
    "Multiply": (((5, 4), (1, 4)), {}),
    "Average": (((5, 4), (5, 4)), {}),
    "Maximum": (((5, 4), (5, 4)), {}),
    "Minimum": (((5, 4), (5, 4)), {}),
    "Concatenate": (((5, 4), (5, 6)), {"axis": (-1, 2)}),
    "Dot": (((5, 4), (6, 4)), {"axes": (2,)}),
    "AdaptiveAveragePooling1D": ((SEQUENCE,), {"output_size": (3,)}),
    "AdaptiveAveragePooling2D": ((IMAGE,), {"output_size": (3, (2, 4))}),
    "AdaptiveAveragePooling3D": ((VOLUME,), {"output_size": (3,)}),
    "AdaptiveMaxPooling1D": ((SEQUENCE,), {"output_size": (3,)}),
    "AdaptiveMaxPooling2D": ((IMAGE,), {"output_size": (3,)}),
    "AdaptiveMaxPooling3D": ((VOLUME,), {"output_size": (3,)}),
    "MelSpectrogram": (((4000,),), {"num_mel_bins": (16,)}),
}

WRAPPERS = ("Bidirectional", "TimeDistributed", "RNN", "StackedRNNCells", "SpectralNormalization", "SimpleRNNCell", "LSTMCell", "GRUCell")
"""Tested with the layers that they wrap."""

NOT_TESTED = {
    "InputLayer": "stands at the start of every model here",
    "InputSpec": "no layer",
    "Input": "a function",
    "Layer": "the base class",
    "Wrapper": "the base class of wrappers",
    "Lambda": "holds code; its shape cannot be told",
    "Pipeline": "a list of preprocessing layers",
    "TFSMLayer": "loads another model when it is built",
    "JaxLayer": "needs JAX",
    "FlaxLayer": "needs Flax",
    "TorchModuleWrapper": "needs PyTorch",
    "Hashing": "takes strings; its shape is that of CategoryEncoding",
    "HashedCrossing": "takes pairs of strings",
    "StringLookup": "takes strings; not saved as HDF5",
    "IntegerLookup": "needs a vocabulary; weightless",
    "TextVectorization": "takes strings; not saved as HDF5",
    "FeatureSpace": "a utility that holds other layers",
    "AugMix": "augmentation: the shape unchanged, as RandomFlip",
    "AutoContrast": "augmentation",
    "ContrastLimitedAdaptiveHistogramEqualization": "augmentation",
    "CutMix": "augmentation",
    "Equalization": "augmentation",
    "MaxNumBoundingBoxes": "works on labels",
    "MixUp": "augmentation",
    "RandAugment": "augmentation",
    "RandomColorDegeneration": "augmentation",
    "RandomColorJitter": "augmentation",
    "RandomElasticTransform": "augmentation",
    "RandomErasing": "augmentation",
    "RandomGaussianBlur": "augmentation",
    "RandomGrayscale": "augmentation",
    "RandomHue": "augmentation",
    "RandomInvert": "augmentation",
    "RandomPerspective": "augmentation",
    "RandomPosterization": "augmentation",
    "RandomSaturation": "augmentation",
    "RandomSharpness": "augmentation",
    "RandomShear": "augmentation",
    "Solarization": "augmentation",
}


def _sampled(random_: random.Random, options: Options) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for names, values in options.items():
        value = random_.choice(values)
        parts = names.split("|")
        chosen.update(dict(zip(parts, value, strict=True)) if len(parts) > 1 else {names: value})
    return chosen


def sample(count: int, seed: int = 7) -> Iterator[Case]:
    """`count` configurations of layers with weights, spread evenly, then one of each layer without."""
    random_ = random.Random(seed)
    table = _tables()
    names = sorted(table)
    for index in range(count):
        name = names[index % len(names)]
        inputs, options = table[name]
        yield Case(
            name, _sampled(random_, options), random_.choice(inputs), random_.choice(("float32", "float32", "mixed_float16", "float64"))
        )
    for name, (shapes, options) in WITHOUT_WEIGHTS.items():
        for _ in range(3):
            yield Case(name, _sampled(random_, options), shapes)


def covered() -> set[str]:
    """Classes that the sample builds."""
    return set(_tables()) | set(WITHOUT_WEIGHTS) | set(WRAPPERS)
