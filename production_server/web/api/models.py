"""/api/models: what can be asked of this server."""

from __future__ import annotations

from flask import Blueprint, Response

from production_server.web.api.operations import operation
from production_server.web.api.requests import to_response
from production_server.web.api.version_schemas import ModelBody, ModelsBody
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("models", __name__, url_prefix="/api/models")


@blueprint.get("")
@operation("List the models", responses={200: ModelsBody})
def index() -> Response:
    """All models with the manifest of their stable version."""
    registry = current_parts().registry
    return to_response(ModelsBody(models=[ModelBody.of(registry, name) for name in registry.model_names()]))


@blueprint.get("/<name>")
@operation("Show a model", responses={200: ModelBody}, errors=(404,))
def show(name: str) -> Response:
    """One model with the manifest of its stable version."""
    return to_response(ModelBody.of(current_parts().registry, name))
