"""What the two protocols tell of the server and its models: everything but inference itself."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import MethodNotAllowed

from production_server import __version__
from production_server.errors import Unavailable
from production_server.jobs.workers import alive_workers
from production_server.models.manifest import TensorSpec
from production_server.models.store import ModelVersion
from production_server.web.edge.parts import current_parts
from production_server.web.interactive.open_inference import DATATYPE_OF
from production_server.web.interactive.tensorflow_serving import SIGNATURE, asks_for_inference, labelled

blueprint = Blueprint("protocols", __name__)

EXTENSIONS = ("binary_tensor_data", "parameters", "classification")
PLATFORMS = {"onnx": "onnx_onnxv1", "keras": "tensorflow_savedmodel"}
NOT_READY = 400
"""The Open Inference Protocol says 4xx for what is not ready."""
TENSORFLOW_DTYPES = {
    "bool": "DT_BOOL", "uint8": "DT_UINT8", "uint16": "DT_UINT16", "uint32": "DT_UINT32", "uint64": "DT_UINT64",
    "int8": "DT_INT8", "int16": "DT_INT16", "int32": "DT_INT32", "int64": "DT_INT64",
    "float16": "DT_HALF", "float32": "DT_FLOAT", "float64": "DT_DOUBLE", "string": "DT_STRING",
}  # fmt: skip


@blueprint.get("/v2")
@blueprint.get("/v2/")
def server() -> Response:
    """The server's metadata (v2)."""
    return jsonify(name="celeriac", version=__version__, extensions=EXTENSIONS)


@blueprint.get("/v2/health/live")
def live() -> Response:
    """Whether this process answers (v2)."""
    return jsonify(live=True)


@blueprint.get("/v2/health/ready")
def ready() -> tuple[Response, int]:
    """Whether a warm worker is alive (v2)."""
    is_ready = _has_worker()
    return jsonify(ready=is_ready), 200 if is_ready else NOT_READY


@blueprint.get("/v2/models/<model>")
@blueprint.get("/v2/models/<model>/versions/<version>")
def model_metadata(model: str, version: str | None = None) -> Response:
    """Inputs and outputs of a version (v2)."""
    registry = current_parts().registry
    found = registry.resolve(model, version)
    manifest = found.manifest
    outputs = [_tensor(spec) for spec in manifest.outputs]
    outputs += [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in found.task.text_outputs]
    return jsonify(
        name=manifest.name,
        versions=[each.manifest.version for each in registry.versions(model)],
        platform=PLATFORMS[manifest.runner],
        inputs=[_tensor(spec) for spec in manifest.inputs],
        outputs=outputs,
    )


@blueprint.get("/v2/models/<model>/ready")
@blueprint.get("/v2/models/<model>/versions/<version>/ready")
def model_ready(model: str, version: str | None = None) -> tuple[Response, int]:
    """Whether a version is there and a worker to run it (v2)."""
    name = current_parts().registry.resolve(model, version).manifest.name
    is_ready = _has_worker()
    return jsonify(name=name, ready=is_ready), 200 if is_ready else NOT_READY


@blueprint.post("/v2/models/<model>/infer")
@blueprint.post("/v2/models/<model>/versions/<version>/infer")
def infer(model: str, version: str | None = None) -> Response:
    """Never called, since the front answers: Flask tells those who come by another method which one to take."""
    raise NotImplementedError


@blueprint.post("/v2/repository/index")
def index() -> Response:
    """All versions of all models, as Triton's extension lists them (v2)."""
    registry = current_parts().registry
    without_worker = "" if _has_worker() else "no worker is alive"
    found = []
    for name in registry.model_names():
        retired = registry.retired(name)
        for version in registry.versions(name):
            number = version.manifest.version
            reason = "it is retired" if number in retired else without_worker
            state = "UNAVAILABLE" if reason else "READY"
            found.append({"name": name, "version": number, "state": state, "reason": reason})
    return jsonify(found)


@blueprint.get("/v1/models/<model>")
@blueprint.get("/v1/models/<model>/versions/<version>")
@blueprint.get("/v1/models/<model>/labels/<label>")
def model_status(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Which versions of a model there are (v1)."""
    if asks_for_inference(request.path):
        raise MethodNotAllowed(["POST"])
    registry = current_parts().registry
    asked = version is not None or label is not None
    versions = [_version(model, version, label)] if asked else registry.versions(model)
    retired = registry.retired(model)
    return jsonify(
        model_version_status=[
            {
                "version": each.manifest.version,
                "state": "END" if each.manifest.version in retired else "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for each in reversed(versions)
        ]
    )


@blueprint.get("/v1/models/<model>/metadata")
@blueprint.get("/v1/models/<model>/versions/<version>/metadata")
@blueprint.get("/v1/models/<model>/labels/<label>/metadata")
def model_signature(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Inputs and outputs of a version (v1)."""
    manifest = _version(model, version, label).manifest
    signature = {
        "inputs": {spec.name: _tensor_info(spec) for spec in manifest.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in manifest.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return jsonify(
        model_spec={"name": manifest.name, "signature_name": "", "version": manifest.version},
        metadata={"signature_def": {"signature_def": {SIGNATURE: signature}}},
    )


def _version(model: str, version: str | None, label: str | None) -> ModelVersion:
    registry = current_parts().registry
    return registry.resolve(model, version) if label is None else labelled(registry, model, label)


def _has_worker() -> bool:
    try:
        return any(worker.warm for worker in alive_workers(current_parts().database))
    except Unavailable:
        return False


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": DATATYPE_OF[spec.dtype], "shape": _shape(spec)}


def _shape(spec: TensorSpec) -> list[int]:
    """Both protocols write -1 for what is not known."""
    return [-1 if size is None else size for size in spec.shape]


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    """As TensorFlow's TensorInfo is written in JSON: 64-bit numbers are strings."""
    return {
        "dtype": TENSORFLOW_DTYPES[spec.dtype],
        "tensor_shape": {
            "dim": [{"size": str(size), "name": ""} for size in _shape(spec)],
            "unknown_rank": False,
        },
        "name": spec.name,
    }
