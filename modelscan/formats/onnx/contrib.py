"""ONNX Runtime's own operators: what there is in the domain com.microsoft.

The registry of ONNX Runtime 1.32 (`get_all_operator_schema`) with the operators of its builds for training and for several devices
(orttraining/core/graph/training_op_defs.cc, core/graph/contrib_ops/collective_defs.cc); gradients are told by their names.
"""

from __future__ import annotations

DOMAIN = "com.microsoft"
_OPERATORS = frozenset(
    """
    ATen AdamOptimizer AdamWOptimizer AdasumAllReduce AllGather AllReduce AllToAll Attention AttnLSTM BeamSearch BiasAdd BiasDropout
    BiasFastGeluGrad_dX BiasGelu BiasGeluGrad_dX BiasSoftmax BiasSplitGelu BifurcationDetector BitmaskBiasDropout BitmaskDropout
    BranchwiseRMSNorm BroadcastGradientArgs CDist CausalConvWithState ClipGradNorm ComplexMul ComplexMulConj ConvStateReplay
    ConvTransposeWithDynamicPads CropAndResize DecoderAttention DecoderMaskedMultiHeadAttention DecoderMaskedSelfAttention
    DequantizeBFP DequantizeLinear DequantizeWithOrder DistributedExpand DistributedMatMul DistributedReduceMax
    DistributedReduceMean DistributedReduceSum DistributedReshape DistributedSlice DistributedSqueeze DistributedUnsqueeze
    DynamicQuantizeLSTM DynamicQuantizeMatMul DynamicSparseAttention DynamicTimeWarping EPContext EmbedLayerNormalization EngramGate
    ExpandDims FakeQuant FastGelu FlattenAndUnpad FusedConv FusedGemm FusedMatMul FusedMatMulActivation GatedAdd GatedDeltaNet
    GatedDeltaNetStateReplay GatedRMSNorm GatedRelativePositionBias GatherBlockQuantized GatherND GatherPacked Gelu GemmFastGelu
    GemmFloat8 GemmaRotaryEmbedding GreedySearch GridSample Group GroupNorm GroupQueryAttention HyperConnectionLowRankMix
    HyperConnectionPostMix HyperConnectionPreMix InPlaceAccumulator InPlaceAccumulatorV2 Inverse Irfft IsAllFinite IsFinite
    LambOptimizer LinearAttention LinearAttentionGate LogSoftmaxGrad_13 LongformerAttention MRotaryEmbedding Mamba2Verify
    MatMulBlockQuantizedFp4Weight MatMulBlockQuantizedFp8Weight MatMulBnb4 MatMulFpQ4 MatMulInteger16 MatMulIntegerToFloat
    MatMulNBits MatMulNBitsMlp MatMulNBitsQLoRA MatMulNBitsQkv MatMulPacked MaxpoolWithMask MegatronF MegatronG MemcpyFromHost
    MemcpyToHost MixedPrecisionScale MoE MoEGroupRouter MoEPacked MulInteger MultiHeadAttention MurmurHash3 NGramHashMapping
    NGramRepeatBlock NcclAllGather NcclAllReduce NcclReduceScatter NegativeLogLikelihoodLossInternal2 NhwcConv NhwcFusedConv
    NhwcMaxPool PackedAttention PackedMultiHeadAttention PackedSparseAttentionIndexer PackedSparseAttentionIndexerMerge Pad
    PadAndUnflatten PagedAttention PassThrough PythonOp QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool
    QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax
    QLinearWhere QMoE QOrderedAttention QOrderedGelu QOrderedLayerNormalization QOrderedLongformerAttention QOrderedMatMul
    QuantizeBFP QuantizeLinear QuantizeWithOrder QuickGelu RMSNormRotary Range RecordEvent Recv ReduceAllL2 ReduceSumInteger
    RelativePositionBias RemovePadding RestorePadding Rfft RotaryEmbedding RouterGateUpProj SGDOptimizer SGDOptimizerV2 SampleOp
    Sampling Scale ScaledSiLU ScaledSum Send ShardedMoE ShrunkenGather SkipGroupNorm SkipLayerNormalization
    SkipSimplifiedLayerNormalization Snpe SoftmaxCrossEntropy SoftmaxGrad_13 SparseAttention SparseAttentionIndexer
    SparsePagedAttention SparseSoftmaxCrossEntropy SparseToDenseMatMul SpeculativePrefixCommit SummaryHistogram SummaryMerge
    SummaryScalar SummaryText SwiGLU Tokenizer TorchEmbedding TransposeMatMul Trilu TritonOp UnfoldTensor Unique
    VarlenCausalConvWithState VarlenNGramHashMapping View WaitEvent WhisperBeamSearch WordConvEmbedding YieldOp ZeroGradient
    """.split()
)
_FAMILIES = ("Grad", "Internal", "Training")
"""How operators of training are called."""


def knows(op: str) -> bool:
    """Whether ONNX Runtime has an operator of that name in its domain, in any build."""
    return op in _OPERATORS or op.endswith(_FAMILIES)
