"""What a configuration of Keras may name: layers, operations and activations that compute, and nothing that runs code.

An allow-list: what Keras adds later is refused until somebody has looked at it. Not in it are layers that call
functions of the file (Lambda, operations such as Map), run another framework's code (TorchModuleWrapper, JaxLayer), or
open files that they name (TFSMLayer).
"""

from __future__ import annotations

MODELS = {"Functional": "keras.src.models.functional", "Sequential": "keras"}
"""Models of layers, and the modules that Keras 3 finds them in."""
WRAPPERS = frozenset({"Bidirectional", "RNN", "SpectralNormalization", "StackedRNNCells", "TimeDistributed"})
"""Layers that hold others, each of which is looked at like any layer."""
LAYERS = WRAPPERS | frozenset(
    """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
    AveragePooling2D AveragePooling3D BatchNormalization CategoryEncoding CenterCrop Concatenate Conv1D Conv1DTranspose
    Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D
    Cropping3D Dense
    DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Flatten GRU GRUCell
    GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention Hashing Identity
    InputLayer IntegerLookup LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D
    Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RandomBrightness
    RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape
    Resizing SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D
    SpatialDropout3D StringLookup Subtract TextVectorization ThresholdedReLU UnitNormalization UpSampling1D UpSampling2D
    UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """.split()
)
OPERATIONS = {
    "keras.src.ops.numpy": frozenset(
        """
        Abs Absolute Add All Amax Amin Any Arccos Arcsin Arctan Arctan2 Argmax Argmin Average BroadcastTo Ceil Clip
        Concatenate Copy Cos Cosh Cumsum Divide DivideNoNan Dot Einsum Equal Exp ExpandDims Expm1 Flip Floor FloorDivide
        GetItem Greater GreaterEqual Isfinite Isinf Isnan Less LessEqual Log Log10 Log1p Log2 Logaddexp LogicalAnd
        LogicalNot LogicalOr Matmul Max Maximum Mean Min Minimum Mod Moveaxis Multiply NanToNum Negative NotEqual Pad
        Power Prod Reciprocal Repeat Reshape Roll Round Sign Sin Sinh Split Sqrt Square Squeeze Stack Std Subtract Sum
        Swapaxes Take TakeAlongAxis Tan Tanh Tensordot Tile Transpose TrueDivide Var Where ZerosLike OnesLike
        """.split()
    ),
    "keras.src.ops.nn": frozenset(
        """
        AveragePool Celu Conv DepthwiseConv Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid
        LogSoftmax MaxPool Moments Normalize OneHot Relu Relu6 Selu SeparableConv Sigmoid Silu SoftShrink Softmax
        Softplus Softsign Squareplus TanhShrink
        """.split()
    ),
    "keras.src.ops.math": frozenset({"Erf", "Logsumexp", "Rsqrt", "TopK"}),
    "keras.src.ops.core": frozenset({"Cast", "Slice", "StopGradient", "Unstack"}),
    "keras.src.ops.image": frozenset({"RGBToGrayscale", "Resize"}),
}
"""What stands in a graph where code computed with a layer's answers (`x * 2`): class names by module."""
ACTIVATIONS = frozenset(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
    log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid
    sparsemax squareplus swish tanh tanh_shrink
    """.split()
)
LEGACY_LAYERS = frozenset({"ThresholdedReLU"})
"""Layers of Keras 2 that Keras 3 still has, but not among the others."""
VALUES = frozenset({"__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"})
"""What is written like an object and is a value."""

OWN_CODE = "it is code of whoever wrote the file: build without it, or export to ONNX where that code is"
REFUSED = {
    "Lambda": "it runs Python code of the file: put a layer such as Rescaling in its place, or export to ONNX",
    "Layer": OWN_CODE,
    "TFSMLayer": "it opens another file: import the SavedModel that it names",
    "TorchModuleWrapper": "it unpickles code of PyTorch: export the model to ONNX from there",
    "JaxLayer": "it runs code of JAX: export the model to ONNX from there",
    "FlaxLayer": "it runs code of Flax: export the model to ONNX from there",
    "TensorFlowOpLayer": "Keras 3 cannot read it: export the model to ONNX where it was made",
    "LocallyConnected1D": "Keras 3 has none: export the model to ONNX with Keras 2",
    "LocallyConnected2D": "Keras 3 has none: export the model to ONNX with Keras 2",
    "Highway": "Keras 3 has none: export the model to ONNX where it was made",
    "MaxoutDense": "Keras 3 has none: export the model to ONNX where it was made",
    "CuDNNGRU": "it needs a graphics card: load the weights into GRU(reset_after=True) by Keras 2",
    "CuDNNLSTM": "it needs a graphics card: load the weights into LSTM by Keras 2",
}
"""Layers that people have and that are not served: why, and what to do."""


def why_refused(class_name: str) -> str:
    """Why a layer is not in the list, and what to do about it."""
    return REFUSED.get(class_name, OWN_CODE)
