"""The HTML pages: forms generated from manifests, jobs as they come, model cards. They work without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, current_app, make_response, redirect, request, url_for
from flask.blueprints import BlueprintSetupState

from production_server.web.api.persona_switch import keeps_faces
from production_server.web.edge.flask_door import asker
from production_server.web.pages import (
    api_reference,
    audit,
    face,
    imports,
    job_page,
    keys,
    label,
    login,
    model_card,
    persona_promise,
    personas,
    predictions,
    search,
    stats,
    streams,
    trainings,
    versions,
    welcome,
)
from production_server.web.pages.problem_page import render_problem
from production_server.web.pages.wording import FILTERS

__all__ = ["blueprint", "render_problem"]

blueprint = Blueprint("pages", __name__, template_folder="templates", static_folder="static")

blueprint.add_url_rule("/", "welcome", welcome.show)
blueprint.add_url_rule("/predictions", "predictions", predictions.show)
blueprint.add_url_rule("/predictions", "submit", predictions.submit, methods=["POST"])
blueprint.add_url_rule("/predictions/<uuid:job_id>", "job", job_page.show)
blueprint.add_url_rule(
    "/predictions/<uuid:job_id>/thumbnails/<int(max=2147483647):index>.png",
    "thumbnail",
    job_page.show_thumbnail,
)
blueprint.add_url_rule(
    "/predictions/<uuid:job_id>/pictures/<int(max=2147483647):index>.png", "picture", job_page.show_picture
)
blueprint.add_url_rule("/label/<name>", "label", label.show)
blueprint.add_url_rule("/personas", "personas", personas.show)
blueprint.add_url_rule("/personas/promise", "promise", persona_promise.show)
blueprint.add_url_rule("/personas/faces/<int(max=2147483647):number>", "face", face.show)
blueprint.add_url_rule(
    "/personas/faces/<int(max=2147483647):number>/picture.png", "face_picture", face.show_picture
)
blueprint.add_url_rule("/personas/<int(max=2147483647):number>", "persona", personas.show_one)
blueprint.add_url_rule("/stats", "stats", stats.show)
blueprint.add_url_rule("/results", "search", search.show)
blueprint.add_url_rule("/keys", "keys", keys.show)
blueprint.add_url_rule("/keys", "make_key", keys.make, methods=["POST"])
blueprint.add_url_rule("/audit", "audit", audit.show)
blueprint.add_url_rule("/streams", "streams", streams.show)
blueprint.add_url_rule("/imports", "imports", imports.show)
blueprint.add_url_rule("/imports", "import_model", imports.submit, methods=["POST"])
blueprint.add_url_rule("/imports/<uuid:import_id>", "imported", imports.show_one)
blueprint.add_url_rule("/training-runs", "trainings", trainings.show)
blueprint.add_url_rule("/training-runs", "begin_training", trainings.begin, methods=["POST"])
blueprint.add_url_rule("/training-runs/<uuid:run_id>", "training", trainings.show_one)
blueprint.add_url_rule("/login", "login", login.show)
blueprint.add_url_rule("/login", "enter", login.enter, methods=["POST"])
blueprint.add_url_rule("/docs", "docs", api_reference.show)
blueprint.add_url_rule("/models/<name>", "model", model_card.show)
blueprint.add_url_rule("/models/<name>/versions", "versions", versions.show)
blueprint.add_url_rule("/models/<name>/<version>/plots/<path:file>", "plot", model_card.show_plot)


_page_of: dict[str, str] = {}
"""The page of each address that only takes its forms."""


def add_change(path: str, endpoint: str, change: Callable[..., Response], *, page: str) -> None:
    """What forms of a page send to. It shows that page with what is wrong, so its address is one to come back to."""
    blueprint.add_url_rule(path, endpoint, change, methods=["POST"])
    blueprint.add_url_rule(path, "again", again)
    _page_of[path] = page


def again(**place: Any) -> Response:
    """The page whose forms are sent to this address."""
    page = f"pages.{_page_of[str(request.url_rule)]}"
    (rule,) = current_app.url_map.iter_rules(page)
    wanted = {name: place[name] for name in rule.arguments}
    return make_response(redirect(url_for(page, **wanted), HTTPStatus.SEE_OTHER))


add_change("/predictions/<uuid:job_id>/cancel", "cancel", job_page.cancel, page="job")
add_change("/keys/<key_id>/rotate", "rotate_key", keys.rotate, page="keys")
add_change("/keys/<key_id>/revoke", "revoke_key", keys.revoke, page="keys")
add_change("/imports/<uuid:import_id>/cancel", "cancel_import", imports.cancel, page="imported")
add_change("/training-runs/<uuid:run_id>/cancel", "cancel_training", trainings.cancel, page="training")
add_change("/training-runs/<uuid:run_id>/resume", "resume_training", trainings.resume, page="training")
add_change("/logout", "leave", login.leave, page="welcome")
add_change("/label/<name>/decide", "decide", label.decide, page="label")
add_change("/label/<name>/import", "bring_labels", label.bring_labels, page="label")
add_change("/label/<name>/undo", "take_back", label.take_back, page="label")
add_change("/personas/promise/set", "set_promise", persona_promise.change, page="promise")
add_change("/personas/faces/<int(max=2147483647):number>/say", "say_face", face.say, page="face")
_ONE_PERSONA = "/personas/<int(max=2147483647):number>"
add_change("/personas/new", "make_persona", personas.make, page="personas")
add_change("/personas/say", "say_faces", personas.say, page="personas")
add_change("/personas/undo", "undo_faces", personas.take_back, page="personas")
add_change(f"{_ONE_PERSONA}/rename", "rename_persona", personas.rename, page="persona")
add_change(f"{_ONE_PERSONA}/merge", "merge_persona", personas.merge, page="persona")
add_change(f"{_ONE_PERSONA}/delete", "delete_persona", personas.delete, page="persona")
add_change("/models/<name>/versions/promote", "promote", versions.promote, page="versions")
add_change("/models/<name>/versions/rollback", "roll_back", versions.roll_back, page="versions")
add_change("/models/<name>/versions/unset", "unset", versions.remove_channel, page="versions")
add_change("/models/<name>/versions/retire", "retire", versions.retire, page="versions")
add_change("/models/<name>/versions/restore", "restore", versions.restore, page="versions")
add_change("/models/<name>/versions/delete", "delete_version", versions.delete, page="versions")


def _set_up_templates(state: BlueprintSetupState) -> None:
    """Teach the templates the filters, and let their logic leave no empty lines in the pages."""
    environment = state.app.jinja_env
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters.update(FILTERS)
    environment.globals |= {"asker": asker, "keeps_faces": keeps_faces}


blueprint.record_once(_set_up_templates)
