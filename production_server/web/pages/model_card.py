"""/models/<name>: the model card, drawn from a version's manifest and its folder."""

from __future__ import annotations

from flask import Response, abort, render_template, request

from production_server.learning.promotion import measured_of
from production_server.models.manifest import Manifest
from production_server.models.store import ModelVersion
from production_server.web.edge.parts import current_parts
from production_server.web.edge.protection import TO_BE_ASKED_AGAIN
from production_server.web.pages.examples import example_request

PLOTS = "plots/"
# A drawing styles itself; opened on its own it may do that and nothing else.
PLOT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
PLOT_NAMES = {
    "calibration": "Calibration",
    "confusion_matrix": "Confusion matrix",
    "learning_curves": "Learning curves",
    "roc": "ROC curve",
}


def show(name: str) -> str:
    """The card of a model's stable version, or of another one, retired or not, that `?version=` names."""
    registry = current_parts().registry
    version = _asked_version(name)
    channels: dict[str, list[str]] = {}
    for channel, number in registry.channels(name).items():
        channels.setdefault(number, []).append(channel)
    manifest = version.manifest
    return render_template(
        "pages/model.html",
        manifest=manifest,
        task=version.task,
        versions=[each.manifest for each in reversed(registry.versions(name))],
        channels=channels,
        retired=registry.retired(name),
        measured=measured_of(version),
        plots=[(file, plot_name(file)) for file in plot_files(manifest)],
        request_body=example_request(version.task),
        base_url=request.host_url.rstrip("/"),
    )


def _asked_version(name: str) -> ModelVersion:
    """The version of a model that `?version=` names, by its number or a channel; else the one that it is shown by."""
    registry, asked = current_parts().registry, request.args.get("version")
    if asked is None:
        return registry.shown(name)
    return registry.version(name, asked) if asked.isdecimal() else registry.resolve(name, asked)


def show_plot(name: str, version: str, file: str) -> Response:
    """A drawing of a version, if its manifest lists it and the bytes are those that it lists."""
    found = current_parts().registry.version(name, version)
    path = PLOTS + file
    if path not in plot_files(found.manifest):
        abort(404, f"version {version} of {name} has no plot {file}")
    response = Response(found.verified_file(path).read_bytes(), mimetype="image/svg+xml")
    response.headers["Content-Security-Policy"] = PLOT_POLICY
    response.headers.update(TO_BE_ASKED_AGAIN)
    response.set_etag(found.manifest.files[path].sha256)
    response.make_conditional(request)
    return response


def plot_files(manifest: Manifest) -> list[str]:
    """The drawings that a manifest lists, by path inside the version's folder."""
    return sorted(path for path in manifest.files if path.startswith(PLOTS) and path.endswith(".svg"))


def plot_name(path: str) -> str:
    """What a drawing is called on the page."""
    stem = path.removeprefix(PLOTS).removesuffix(".svg")
    return PLOT_NAMES.get(stem, stem.replace("_", " ").capitalize())
