"""com.microsoft operators with unpacked weights: embeddings, fused normalisations, biases, mixtures of experts.

Inputs and shapes are those of ONNX Runtime's `docs/ContribOperators.md`.
"""

from __future__ import annotations

from modelscan.layers.onnx.catalogue.layouts import Layout, Slot, register

LAST = {"width": ((0, -1),)}
_SKIP = Layout(
    (Slot(2, "gamma", "width"), Slot(3, "beta", "width"), Slot(4, "bias", "width")), {"width": ((0, -1), (1, -1))}, outputs={"width": -1}
)
_BIAS = Layout((Slot(1, "bias", "width"),), LAST, outputs={"width": -1})
_EMBED = Layout(
    (
        Slot(2, "word_embedding", "vocabulary, width"),
        Slot(3, "position_embedding", "positions, width"),
        Slot(4, "segment_embedding", "segments, width"),
        Slot(5, "gamma", "width"),
        Slot(6, "beta", "width"),
    ),
    outputs={"width": -1},
)
_CACHES = (Slot(7, "cos_cache", "positions, half_head", counted=False), Slot(8, "sin_cache", "positions, half_head", counted=False))
_EXPERTS = (
    Slot(2, "fc1_experts_weights", "experts, fused_inter, width", multiplied=True),
    Slot(3, "fc1_experts_bias", "experts, fused_inter"),
    Slot(4, "fc2_experts_weights", "experts, width, inter", multiplied=True),
    Slot(5, "fc2_experts_bias", "experts, width"),
    Slot(6, "fc3_experts_weights", "experts, inter, width", multiplied=True),
    Slot(7, "fc3_experts_bias", "experts, inter"),
)

register(
    {
        "com.microsoft:SkipLayerNormalization": _SKIP,
        "com.microsoft:SkipSimplifiedLayerNormalization": Layout(
            (Slot(2, "gamma", "width"), Slot(3, "bias", "width")), {"width": ((0, -1), (1, -1))}, outputs={"width": -1}
        ),
        "com.microsoft:GatedRMSNorm": Layout((Slot(1, "scale", "width"),), LAST, outputs={"width": -1}),
        "com.microsoft:QOrderedLayerNormalization": Layout((Slot(2, "scale", "width"), Slot(3, "bias", "width")), LAST),
        "com.microsoft:BiasGelu": _BIAS,
        "com.microsoft:FastGelu": _BIAS,
        "com.microsoft:BiasSplitGelu": _BIAS,
        "com.microsoft:BiasAdd": _BIAS,
        "com.microsoft:BiasDropout": _BIAS,
        "com.microsoft:BitmaskBiasDropout": _BIAS,
        "com.microsoft:EmbedLayerNormalization": _EMBED,
        "com.microsoft:QEmbedLayerNormalization": _EMBED,
        "com.microsoft:TorchEmbedding": Layout((Slot(0, "embeddings", "vocabulary, width"),), outputs={"width": -1}, type="Embedding"),
        "com.microsoft:RelativePositionBias": Layout((Slot(0, "bias_table", "buckets, heads"),), outputs={"heads": 1}),
        "com.microsoft:GatedRelativePositionBias": Layout(
            (
                Slot(1, "query_bias", "width"),
                Slot(3, "weight", "head_size, 8", multiplied=True),
                Slot(4, "bias", "8"),
                Slot(5, "eco_a", "1, heads, 1, 1"),
            ),
            {"width": ((0, -1),)},
            {"heads": "num_heads"},
        ),
        "com.microsoft:GroupNorm": Layout((Slot(1, "gamma", "channels"), Slot(2, "beta", "channels")), {"channels": ((0, -1),)}),
        "com.microsoft:SkipGroupNorm": Layout(
            (Slot(1, "gamma", "channels"), Slot(2, "beta", "channels"), Slot(4, "bias", "channels")), {"channels": ((0, -1), (3, -1))}
        ),
        "com.microsoft:GroupQueryAttention": Layout(
            (*_CACHES, Slot(11, "head_sink", "heads"), Slot(14, "q_norm_weight", "head_size"), Slot(15, "k_norm_weight", "head_size")),
            attributes={"heads": "num_heads"},
        ),
        "com.microsoft:SparseAttention": Layout(
            (Slot(9, "cos_cache", "positions, half_head", counted=False), Slot(10, "sin_cache", "positions, half_head", counted=False))
        ),
        "com.microsoft:RotaryEmbedding": Layout(
            (Slot(2, "cos_cache", "positions, half_head", counted=False), Slot(3, "sin_cache", "positions, half_head", counted=False))
        ),
        "com.microsoft:CDist": Layout((Slot(1, "points", "points, features"),), {"features": ((0, -1),)}, outputs={"points": -1}),
        "com.microsoft:MoE": Layout(_EXPERTS, {"experts": ((1, -1),), "width": ((0, -1),)}, outputs={"width": -1}),
        "com.microsoft:DecoderAttention": Layout(
            (
                Slot(2, "q_weight", "width, width", multiplied=True),
                Slot(3, "kv_weight", "width, 2*width", multiplied=True),
                Slot(4, "bias", "3*width"),
            ),
            {"width": ((0, -1), (1, -1))},
        ),
        "com.microsoft:LongformerAttention": Layout(
            (
                Slot(1, "weight", "width, 3*width", multiplied=True),
                Slot(2, "bias", "3*width"),
                Slot(4, "global_weight", "width, 3*width", multiplied=True),
                Slot(5, "global_bias", "3*width"),
            ),
            {"width": ((0, -1),)},
            outputs={"width": -1},
        ),
        "com.microsoft:CausalConvWithState": Layout(
            (Slot(1, "kernel", "channels, 1, kernel_size", multiplied=True), Slot(2, "bias", "channels")), {"channels": ((0, 1),)}
        ),
        "com.microsoft:LinearAttentionGate": Layout((Slot(1, "dt_bias", "width"), Slot(2, "decay_scale", "width")), LAST),
        "com.microsoft:WordConvEmbedding": Layout(
            (
                Slot(1, "kernel", "filters, 1, window, character_width", multiplied=True),
                Slot(2, "bias", "filters"),
                Slot(3, "characters", "vocabulary, character_width"),
            ),
            attributes={"filters": "embedding_size", "window": "conv_window_size", "character_width": "char_embedding_size"},
        ),
        "com.microsoft:QOrderedAttention": Layout(
            (
                *(Slot(5 + place, f"{part}_weight", f"inputs, {part}_width", multiplied=True) for place, part in enumerate("QKV")),
                *(Slot(11 + place, f"{part}_bias", f"{part}_width") for place, part in enumerate("QKV")),
            ),
            {"inputs": ((0, -1),)},
        ),
        "RotaryEmbedding": Layout(
            (Slot(1, "cos_cache", "positions, half_head", counted=False), Slot(2, "sin_cache", "positions, half_head", counted=False))
        ),
        "DeformConv": Layout(
            (Slot(1, "kernel", "filters, channels, kernel_height, kernel_width", multiplied=True), Slot(3, "bias", "filters")),
            outputs={"filters": 1},
        ),
        "NegativeLogLikelihoodLoss": Layout((Slot(2, "class_weights", "classes"),), {"classes": ((0, 1),)}),
        "SoftmaxCrossEntropyLoss": Layout((Slot(2, "class_weights", "classes"),), {"classes": ((0, 1),)}),
    }
)
