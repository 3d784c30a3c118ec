"""What is known of operands by their place: how many an operator needs at least, and which of them only steer it."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """Operator names as a table lists them, separated by blanks."""
    return tuple(text.split())


_ONE = words(
    "Abs ArgMax ArgMin AveragePool BitShift Cast Ceil Clip ConstantOfShape CumSum DepthToSpace Dropout "
    "DynamicQuantizeLinear Einsum Elu Erf "
    "Exp Flatten Floor Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid HardSwish Identity If LRN LeakyRelu Log LogSoftmax "
    "LpPool MaxPool Mish Neg Not Pad Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
    "ReduceSum ReduceSumSquare Relu Reshape Resize Round Scan Selu Shape Sigmoid Size Slice Softmax Softplus SpaceToDepth Split Sqrt "
    "Squeeze Swish Tanh Tile Transpose Trilu Unsqueeze Concat Max Min Sum Mean "
    "ai.onnx.ml:LinearClassifier ai.onnx.ml:LinearRegressor ai.onnx.ml:SVMClassifier ai.onnx.ml:SVMRegressor ai.onnx.ml:Scaler "
    "ai.onnx.ml:TreeEnsemble ai.onnx.ml:TreeEnsembleClassifier ai.onnx.ml:TreeEnsembleRegressor com.microsoft:FastGelu "
    "com.microsoft:QLinearAveragePool com.microsoft:QLinearGlobalAveragePool com.microsoft:QLinearConcat "
    "com.microsoft:GroupQueryAttention "
    "com.microsoft:MultiHeadAttention com.microsoft:DecoderMaskedMultiHeadAttention com.microsoft:PackedMultiHeadAttention"
)
_TWO = words(
    "Add And BitwiseAnd BitwiseOr BitwiseXor CastLike Conv ConvInteger ConvTranspose DequantizeLinear Div Equal Expand Gather "
    "GatherElements GatherND Gemm Greater GreaterOrEqual LayerNormalization Less LessOrEqual Loop MatMul MatMulInteger Mod Mul Or PRelu "
    "Pow QuantizeLinear RMSNormalization SimplifiedLayerNormalization Sub Xor com.microsoft:Attention com.microsoft:BiasAdd "
    "com.microsoft:BiasDropout com.microsoft:BiasGelu com.microsoft:BitmaskBiasDropout com.microsoft:DecoderMaskedSelfAttention "
    "com.microsoft:DequantizeLinear com.microsoft:DynamicQuantizeMatMul com.microsoft:FusedConv com.microsoft:FusedGemm "
    "com.microsoft:FusedMatMul com.microsoft:FusedMatMulActivation com.microsoft:GemmFastGelu com.microsoft:GemmFloat8 "
    "com.microsoft:MatMulBnb4 com.microsoft:MatMulInteger16 com.microsoft:MatMulIntegerToFloat com.microsoft:NhwcConv "
    "com.microsoft:NhwcFusedConv com.microsoft:PackedAttention com.microsoft:QAttention com.microsoft:QuantizeLinear "
    "com.microsoft:TransposeMatMul com.microsoft:TorchEmbedding"
)
_THREE = words(
    "Attention DeformConv GRU GroupNormalization InstanceNormalization LSTM RNN ScatterElements ScatterND Where "
    "com.microsoft:DynamicQuantizeLSTM com.microsoft:EmbedLayerNormalization com.microsoft:GatherBlockQuantized com.microsoft:MatMulNBits "
    "com.microsoft:QMoE com.microsoft:SkipLayerNormalization com.microsoft:SkipSimplifiedLayerNormalization"
)
_MORE = {
    "BatchNormalization": 5,
    "QLinearConv": 8,
    "QLinearMatMul": 8,
    "com.microsoft:QGemm": 6,
    "com.microsoft:QLinearAdd": 6,
    "com.microsoft:QLinearConv": 8,
    "com.microsoft:QLinearMul": 6,
}
LEAST: dict[str, int] = {
    **dict.fromkeys(_ONE, 1),
    **dict.fromkeys(_TWO, 2),
    **dict.fromkeys(_THREE, 3),
    **_MORE,
}
"""By operator. Those that are not in it are looked at by no rule that counts on operands."""
PARAMETERS: dict[str, tuple[int, ...]] = {
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Unsqueeze": (1,),
    "Squeeze": (1,),
    "Gather": (1,),
    "Pad": (1, 2, 3),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "Clip": (1, 2),
    "Expand": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Dropout": (1, 2),
    "Split": (1,),
    "OneHot": (1, 2),
    "ConstantOfShape": (0,),
    "Range": (0, 1, 2),
    "NonMaxSuppression": (2, 3, 4),
    "CumSum": (1,),
    "Trilu": (1,),
    "CastLike": (1,),
    "Shape": (0,),
    "Size": (0,),
    "EyeLike": (0,),
    "RandomNormalLike": (0,),
    "RandomUniformLike": (0,),
    "STFT": (1, 2, 3),
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "com.microsoft:QuantizeLinear": (1, 2),
    "com.microsoft:DequantizeLinear": (1, 2),
    "Loop": (0, 1),
    "If": (0,),
}
"""Inputs that steer an operator and are no weights, whatever their type; the window of a transform is one."""
