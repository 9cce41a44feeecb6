"""The networks, in Keras: MTCNN's three, which find faces, and dlib's ResNet, which tells them apart.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks"
(https://arxiv.org/abs/1604.02878); King, "High Quality Face Recognition with Deep Metric Learning"
(http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Weights = Sequence[NDArray[np.float32]]

FACE_MEAN = (122.782, 117.001, 104.298)
"""What dlib takes away from red, green and blue, before it divides by 256."""
FACE_DEPTHS = {32: 3, 64: 3, 128: 2, 256: 2}
"""How many blocks keep their size behind each that halves it, by filters."""


def proposal_net(weights: Weights) -> keras.Model:
    """P-Net: pictures of any size, float32 [n, height, width, 3] from -1 to 1, to boxes and probabilities of a grid."""
    taken = keras.Input((None, None, 3), name="picture")
    x = _convolved(taken, 10)
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = _convolved(_convolved(x, 16), 32)
    box, is_face = layers.Conv2D(4, 1)(x), layers.Conv2D(2, 1, activation="softmax")(x)
    return _with(keras.Model(taken, [box, is_face]), weights)


def refinement_net(weights: Weights) -> keras.Model:
    """R-Net: float32 [n, 24, 24, 3] from -1 to 1 to boxes [n, 4] and probabilities [n, 2]."""
    taken = keras.Input((24, 24, 3), name="patch")
    x = layers.MaxPooling2D(3, 2, padding="same")(_convolved(taken, 28))
    x = layers.MaxPooling2D(3, 2)(_convolved(x, 48))
    x = _told(_convolved(x, 64, 2), 128)
    box, is_face = layers.Dense(4)(x), layers.Dense(2, activation="softmax")(x)
    return _with(keras.Model(taken, [box, is_face]), weights)


def output_net(weights: Weights) -> keras.Model:
    """O-Net: float32 [n, 48, 48, 3] from -1 to 1 to boxes [n, 4], five landmarks [n, 10] and probabilities [n, 2].

    Landmarks are all x before all y: eyes, nose, corners of the mouth, each from left to right.
    """
    taken = keras.Input((48, 48, 3), name="patch")
    x = layers.MaxPooling2D(3, 2, padding="same")(_convolved(taken, 32))
    x = layers.MaxPooling2D(3, 2)(_convolved(x, 64))
    x = layers.MaxPooling2D(2, padding="same")(_convolved(x, 64))
    x = _told(_convolved(x, 128, 2), 256)
    box, landmarks = layers.Dense(4)(x), layers.Dense(10)(x)
    is_face = layers.Dense(2, activation="softmax")(x)
    return _with(keras.Model(taken, [box, landmarks, is_face]), weights)


def embedding_net(weights: Mapping[str, NDArray[np.float32]]) -> keras.Model:
    """The ResNet of dlib: a face as dlib cuts it out, float32 [n, 150, 150, 3] from 0 to 255, to 128 numbers.

    `weights` are by the names that they have in face-api.
    """
    taken = keras.Input((150, 150, 3), name="face")
    x = layers.Rescaling(1 / 256, [-each / 256 for each in FACE_MEAN])(taken)
    x = layers.ReLU()(_scaled(x, weights, "conv32_down", stride=2))
    x = layers.MaxPooling2D(3, 2)(x)
    for filters, depth in FACE_DEPTHS.items():
        if filters > x.shape[-1]:
            x = _halved(x, weights, f"conv{filters}_down")
        for number in range(1, depth + 1):
            x = _residual(x, weights, f"conv{filters}_{number}")
    x = _halved(x, weights, "conv256_down_out")
    x = layers.GlobalAveragePooling2D()(x)
    told = layers.Dense(weights["fc"].shape[1], use_bias=False)
    embedding = told(x)
    told.set_weights([weights["fc"]])
    return keras.Model(taken, embedding)


def _convolved(x: keras.KerasTensor, filters: int, size: int = 3) -> keras.KerasTensor:
    return layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(filters, size)(x))


def _told(x: keras.KerasTensor, units: int) -> keras.KerasTensor:
    """The weights were learnt on maps whose width comes before their height."""
    return layers.PReLU()(layers.Dense(units)(layers.Flatten()(layers.Permute((2, 1, 3))(x))))


def _with(model: keras.Model, weights: Weights) -> keras.Model:
    model.set_weights(list(weights))
    return model


def _scaled(
    x: keras.KerasTensor, weights: Mapping[str, NDArray[np.float32]], name: str, *, stride: int = 1
) -> keras.KerasTensor:
    """A convolution, and the batch normalization of training as one factor and one summand for each filter."""
    filters, bias = weights[f"{name}/conv/filters"], weights[f"{name}/conv/bias"]
    factor, summand = weights[f"{name}/scale/weights"], weights[f"{name}/scale/biases"]
    layer = layers.Conv2D(
        filters.shape[-1], filters.shape[0], stride, padding="valid" if stride > 1 else "same"
    )
    scaled = layer(x)
    layer.set_weights([filters * factor, bias * factor + summand])
    return scaled


def _residual(
    x: keras.KerasTensor, weights: Mapping[str, NDArray[np.float32]], name: str
) -> keras.KerasTensor:
    inner = layers.ReLU()(_scaled(x, weights, f"{name}/conv1"))
    return layers.ReLU()(layers.Add()([_scaled(inner, weights, f"{name}/conv2"), x]))


def _halved(x: keras.KerasTensor, weights: Mapping[str, NDArray[np.float32]], name: str) -> keras.KerasTensor:
    """A residual block of half the size; where the two ways differ in size or filters, zeros are added."""
    inner = layers.ReLU()(_scaled(x, weights, f"{name}/conv1", stride=2))
    inner = _scaled(inner, weights, f"{name}/conv2")
    past = layers.AveragePooling2D(2)(x)
    if inner.shape[1] < past.shape[1]:
        inner = layers.ZeroPadding2D(((0, 1), (0, 1)))(inner)
    if past.shape[-1] < inner.shape[-1]:
        past = layers.Concatenate()([past, keras.ops.zeros_like(past)])
    return layers.ReLU()(layers.Add()([inner, past]))
