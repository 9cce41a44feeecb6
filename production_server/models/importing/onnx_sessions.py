"""ONNX Runtime as the importer asks it: does a graph load, and what does it compute."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import onnxruntime

from production_server.errors import InferenceFailed, InvalidInput
from production_server.models.importing.opened import Compute
from production_server.models.runners.onnx import memory_asked
from production_server.models.tensors import Tensors
from production_server.shown import shown

_NEWEST = re.compile(r"till opset (\d+)")
_PLACE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/\S+ .*?\) ", re.DOTALL)


def known_operators() -> frozenset[tuple[str, str]]:
    """All operators that ONNX Runtime has, as (domain, name)."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return frozenset((each.domain, each.name) for each in state.get_all_operator_schema())


def plain_graph(model: bytes, outputs: Sequence[str]) -> Compute:
    """What a graph computes without any of ONNX Runtime's optimisations.

    What is returned raises InferenceFailed where the graph fails.

    Raises:
        InvalidInput: ONNX Runtime does not load it.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # its errors come as exceptions
    options.use_deterministic_compute = True
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's errors share no base class below Exception.
    except Exception as exc:
        raise _unloadable(str(exc)) from exc

    return computing(session, outputs)


def computing(session: onnxruntime.InferenceSession, outputs: Sequence[str]) -> Compute:
    """What a session computes; raises InferenceFailed where the graph fails, MemoryError where it gets no memory."""

    def compute(inputs: Tensors) -> Tensors:
        try:
            found = session.run(list(outputs), dict(inputs))
        except Exception as exc:
            if (asked := memory_asked(str(exc))) is not None:
                raise MemoryError(asked) from exc
            raise InferenceFailed(f"the graph failed: {plain_words(str(exc))}") from exc
        return dict(zip(outputs, map(np.asarray, found), strict=True))

    return compute


def plain_words(message: str) -> str:
    """ONNX Runtime's message without its codes and places in its source, in a line."""
    return shown(" ".join(_PLACE.sub("", message).split()))


def _unloadable(message: str) -> InvalidInput:
    if newest := _NEWEST.search(message):
        return InvalidInput.at(
            "file",
            f"an opset up to {newest[1]}: export it again with opset_version={newest[1]}",
            "a newer one",
        )
    return InvalidInput.at("file", "a graph that ONNX Runtime loads", plain_words(message))
