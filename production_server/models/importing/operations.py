"""What is put before a graph's input or behind its output: each as numpy computes it, and as a node of ONNX."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, helper

from production_server.models.importing.onnx_graph import add_constant, type_of


class Operation(ABC):
    """One step from a tensor [items, …] to the next."""

    @abstractmethod
    def compute(self, array: np.ndarray) -> np.ndarray:
        """The step as numpy takes it."""

    @abstractmethod
    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:
        """The step from the tensor `taken` to `given`; its constants are put into the model."""


@dataclass(frozen=True)
class Cast(Operation):
    """Numbers of another type; fractions are cut off."""

    dtype: str

    def compute(self, array: np.ndarray) -> np.ndarray:
        return array.astype(self.dtype)

    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:  # noqa: ARG002
        return [helper.make_node("Cast", [taken], [given], to=type_of(self.dtype))]


@dataclass(frozen=True)
class Standardize(Operation):
    """`(pixel - mean) / deviation`, each of as many numbers as the last dimension."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def compute(self, array: np.ndarray) -> np.ndarray:
        mean, deviation = (np.array(each, np.float32) for each in (self.mean, self.deviation))
        standardized: np.ndarray = (array - mean) / deviation
        return standardized

    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:
        mean = add_constant(model, "mean", np.array(self.mean, np.float32))
        deviation = add_constant(model, "deviation", np.array(self.deviation, np.float32))
        centred = f"{given}_centred"
        return [
            helper.make_node("Sub", [taken, mean], [centred]),
            helper.make_node("Div", [centred, deviation], [given]),
        ]


@dataclass(frozen=True)
class Transpose(Operation):
    """Dimensions in another order."""

    order: tuple[int, ...]

    def compute(self, array: np.ndarray) -> np.ndarray:
        return array.transpose(self.order)

    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:  # noqa: ARG002
        return [helper.make_node("Transpose", [taken], [given], perm=self.order)]


@dataclass(frozen=True)
class Reshape(Operation):
    """The same numbers, in items of another shape."""

    item_shape: tuple[int, ...]

    def compute(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, *self.item_shape)

    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:
        shape = add_constant(model, "item_shape", np.array([-1, *self.item_shape], np.int64))
        return [helper.make_node("Reshape", [taken, shape], [given])]


@dataclass(frozen=True)
class Column(Operation):
    """One column of rows [items, columns], as [items, 1]."""

    place: int

    def compute(self, array: np.ndarray) -> np.ndarray:
        return array[:, self.place : self.place + 1]

    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:
        place = add_constant(model, "column", np.array([self.place], np.int64))
        return [helper.make_node("Gather", [taken, place], [given], axis=1)]


class Softmax(Operation):
    """Logits [items, labels] to probabilities that sum to 1."""

    def compute(self, array: np.ndarray) -> np.ndarray:
        powers = np.exp(array - array.max(axis=1, keepdims=True))
        quotients: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
        return quotients

    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:  # noqa: ARG002
        return [helper.make_node("Softmax", [taken], [given], axis=1)]


class Sigmoid(Operation):
    """Logits to probabilities, each by itself."""

    def compute(self, array: np.ndarray) -> np.ndarray:
        shares: np.ndarray = 1 / (1 + np.exp(-array.astype(np.float64)))
        return shares.astype(array.dtype)

    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:  # noqa: ARG002
        return [helper.make_node("Sigmoid", [taken], [given])]


class Exp(Operation):
    """Logarithms of probabilities to probabilities."""

    def compute(self, array: np.ndarray) -> np.ndarray:
        powers: np.ndarray = np.exp(array)
        return powers

    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:  # noqa: ARG002
        return [helper.make_node("Exp", [taken], [given])]


class Complement(Operation):
    """The probability of a second label [items, 1] to those of both [items, 2]."""

    def compute(self, array: np.ndarray) -> np.ndarray:
        return np.concatenate([1 - array, array], axis=1)

    def nodes(self, model: ModelProto, taken: str, given: str) -> list[NodeProto]:
        one = add_constant(model, "one", np.array([1], np.float32))
        rest = f"{given}_rest"
        return [
            helper.make_node("Sub", [one, taken], [rest]),
            helper.make_node("Concat", [rest, taken], [given], axis=1),
        ]
