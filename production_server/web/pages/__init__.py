"""The HTML pages: forms generated from manifests, jobs as they come, model cards. They work without JavaScript."""

from __future__ import annotations

from flask import Blueprint
from flask.blueprints import BlueprintSetupState

from production_server.web.edge.flask_door import asker
from production_server.web.pages import (
    api_reference,
    audit,
    imports,
    job_page,
    keys,
    login,
    model_card,
    predictions,
    search,
    stats,
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
blueprint.add_url_rule("/predictions/<uuid:job_id>/cancel", "cancel", job_page.cancel, methods=["POST"])
blueprint.add_url_rule(
    "/predictions/<uuid:job_id>/thumbnails/<int(max=2147483647):index>.png",
    "thumbnail",
    job_page.show_thumbnail,
)
blueprint.add_url_rule("/stats", "stats", stats.show)
blueprint.add_url_rule("/results", "search", search.show)
blueprint.add_url_rule("/keys", "keys", keys.show)
blueprint.add_url_rule("/keys", "make_key", keys.make, methods=["POST"])
blueprint.add_url_rule("/keys/<key_id>/rotate", "rotate_key", keys.rotate, methods=["POST"])
blueprint.add_url_rule("/keys/<key_id>/revoke", "revoke_key", keys.revoke, methods=["POST"])
blueprint.add_url_rule("/audit", "audit", audit.show)
blueprint.add_url_rule("/imports", "imports", imports.show)
blueprint.add_url_rule("/imports", "import_model", imports.submit, methods=["POST"])
blueprint.add_url_rule("/imports/<uuid:import_id>", "imported", imports.show_one)
blueprint.add_url_rule("/imports/<uuid:import_id>/cancel", "cancel_import", imports.cancel, methods=["POST"])
blueprint.add_url_rule("/login", "login", login.show)
blueprint.add_url_rule("/login", "enter", login.enter, methods=["POST"])
blueprint.add_url_rule("/logout", "leave", login.leave, methods=["POST"])
blueprint.add_url_rule("/docs", "docs", api_reference.show)
blueprint.add_url_rule("/models/<name>", "model", model_card.show)
blueprint.add_url_rule("/models/<name>/versions", "versions", versions.show)
blueprint.add_url_rule("/models/<name>/versions/promote", "promote", versions.promote, methods=["POST"])
blueprint.add_url_rule("/models/<name>/versions/rollback", "roll_back", versions.roll_back, methods=["POST"])
blueprint.add_url_rule("/models/<name>/versions/unset", "unset", versions.remove_channel, methods=["POST"])
blueprint.add_url_rule("/models/<name>/versions/retire", "retire", versions.retire, methods=["POST"])
blueprint.add_url_rule("/models/<name>/versions/restore", "restore", versions.restore, methods=["POST"])
blueprint.add_url_rule("/models/<name>/versions/delete", "delete_version", versions.delete, methods=["POST"])
blueprint.add_url_rule("/models/<name>/<version>/plots/<path:file>", "plot", model_card.show_plot)


def _set_up_templates(state: BlueprintSetupState) -> None:
    """Teach the templates the filters, and let their logic leave no empty lines in the pages."""
    environment = state.app.jinja_env
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters.update(FILTERS)
    environment.globals["asker"] = asker


blueprint.record_once(_set_up_templates)
