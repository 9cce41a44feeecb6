"""The image classifier: a small residual network that adapts to the size, channels and classes of its images.

After He et al., "Deep Residual Learning for Image Recognition" (https://arxiv.org/abs/1512.03385), with the shortcut of
He et al., "Bag of Tricks" (https://arxiv.org/abs/1812.01187, ResNet-D): average pooling, then a 1x1 convolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from production_server.training.fused_normalization import FusedBatchNormalization

LARGE_IMAGE = 48
"""Pixels; images whose shorter side is longer than this are halved by the first convolution."""

Tensor = Any
"""A symbolic Keras tensor, which has no public type."""


@dataclass(frozen=True)
class Stage:
    """Residual blocks of one resolution; the first of them halves height and width."""

    channels: int
    blocks: int


STEM_CHANNELS = 32
STAGES = (Stage(64, 1), Stage(128, 2))


def build_classifier(
    shape: tuple[int, int, int], classes: int, *, is_for_training: bool = False, dtype: str = "float32"
) -> keras.Model:
    """Build an untrained classifier: float32 [n, height, width, channels] in 0..1 to probabilities [n, classes].

    A model for training is computed faster (fused normalization, and `dtype` is a Keras dtype policy: "mixed_bfloat16"
    computes in bfloat16 and keeps float32 weights); its weights fit the plain float32 model, which is the one to save.
    """
    make = _Maker(dtype, FusedBatchNormalization if is_for_training else layers.BatchNormalization)
    image = keras.Input(shape, name="image", dtype="float32")
    x = make.convolution(image, STEM_CHANNELS, size=3, stride=2 if min(shape[:2]) > LARGE_IMAGE else 1)
    x = make.relu(x)
    for stage in STAGES:
        for block in range(stage.blocks):
            x = make.residual_block(x, stage.channels, stride=2 if block == 0 else 1)
    x = layers.GlobalAveragePooling2D(dtype=dtype)(x)
    x = layers.Dense(classes, dtype=dtype)(x)
    probabilities = layers.Activation("softmax", name="probabilities", dtype="float32")(x)
    return keras.Model(image, probabilities, name="classifier")


@dataclass(frozen=True)
class _Maker:
    """Makes the parts of the network with one dtype policy and one kind of normalization."""

    dtype: str
    normalization: type[keras.layers.BatchNormalization]

    def residual_block(self, x: Tensor, channels: int, *, stride: int) -> Tensor:
        shortcut = x
        if stride > 1:
            shortcut = layers.AveragePooling2D(stride, padding="same", dtype=self.dtype)(shortcut)
        if stride > 1 or x.shape[-1] != channels:
            shortcut = self.convolution(shortcut, channels, size=1, stride=1)
        x = self.relu(self.convolution(x, channels, size=3, stride=stride))
        x = self.convolution(x, channels, size=3, stride=1)
        return self.relu(layers.Add(dtype=self.dtype)([x, shortcut]))

    def convolution(self, x: Tensor, channels: int, *, size: int, stride: int) -> Tensor:
        x = layers.Conv2D(
            channels,
            size,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=self.dtype,
        )(x)
        return self.normalization(momentum=0.9, dtype=self.dtype)(x)

    def relu(self, x: Tensor) -> Tensor:
        return layers.ReLU(dtype=self.dtype)(x)


def multiply_accumulates(model: keras.Model) -> int:
    """Count the multiply-accumulate operations of one forward pass of one image, in convolutions and dense layers."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            height, width = layer.output.shape[1:3]
            total += height * width * math.prod(layer.kernel.shape)
        elif isinstance(layer, layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total
