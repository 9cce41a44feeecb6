"""What each operation needs of whoever asks for it: the one list. What is not in it nobody may ask for."""

from __future__ import annotations

from collections.abc import Mapping

from production_server.access.scopes import Scope

ANYBODY = None
"""Needs nobody's leave."""
NO_SUCH_PATH = "none"

NEEDS: Mapping[str, Scope | None] = {
    # Probes have no keys, and a page that says no needs its styles.
    "health.livez": ANYBODY,
    "health.readyz": ANYBODY,
    "protocols.live": ANYBODY,
    "protocols.ready": ANYBODY,
    "pages.static": ANYBODY,
    # Whoever has no key yet gives it here; whoever has left is let go.
    "pages.login": ANYBODY,
    "pages.enter": ANYBODY,
    "pages.leave": ANYBODY,
    # Leads to a page, which asks itself.
    "pages.again": ANYBODY,
    # Buckets and their services cannot send keys: these prove themselves by EVENTS_TOKEN.
    "events.take": ANYBODY,
    "events.agree": ANYBODY,
    # Whoever has any key is told that there is nothing.
    NO_SUCH_PATH: Scope.READ,
    "calls.v1": Scope.PREDICT,
    "calls.v2": Scope.PREDICT,
    "protocols.infer": Scope.PREDICT,
    "jobs.submit": Scope.PREDICT,
    "jobs.delete": Scope.PREDICT,
    "scans.submit": Scope.PREDICT,
    "scans.delete": Scope.PREDICT,
    "pages.submit": Scope.PREDICT,
    "pages.cancel": Scope.PREDICT,
    "jobs.index": Scope.READ,
    "jobs.show": Scope.READ,
    "results.page": Scope.READ,
    "results.as_csv": Scope.READ,
    "results.as_json": Scope.READ,
    "results.events": Scope.READ,
    "scans.index": Scope.READ,
    "scans.show": Scope.READ,
    # Of all clients, with the addresses of brokers.
    "streams.index": Scope.ADMIN,
    "stats.stats": Scope.READ,
    "stats.results": Scope.READ,
    "stats.results_csv": Scope.READ,
    "models.index": Scope.READ,
    "models.show": Scope.READ,
    "versions.report": Scope.READ,
    "versions.index": Scope.READ,
    "versions.show": Scope.READ,
    "versions.channels": Scope.READ,
    "rollouts.canary": Scope.READ,
    "rollouts.index": Scope.READ,
    "rollouts.show": Scope.READ,
    "versions.channel": Scope.READ,
    "versions.history": Scope.READ,
    "versions.channel_history": Scope.READ,
    "openapi.show": Scope.READ,
    "protocols.server": Scope.READ,
    "protocols.index": Scope.READ,
    "protocols.model_metadata": Scope.READ,
    "protocols.model_ready": Scope.READ,
    "protocols.model_status": Scope.READ,
    "protocols.model_signature": Scope.READ,
    "pages.welcome": Scope.READ,
    "pages.predictions": Scope.READ,
    "pages.job": Scope.READ,
    "pages.thumbnail": Scope.READ,
    "pages.picture": Scope.READ,
    "pages.stats": Scope.READ,
    "pages.search": Scope.READ,
    "pages.docs": Scope.READ,
    "pages.model": Scope.READ,
    "pages.plot": Scope.READ,
    # Also what a file was assumed to be, and why it is none.
    "imports.submit": Scope.MODELS,
    "imports.index": Scope.MODELS,
    "imports.show": Scope.MODELS,
    "imports.delete": Scope.MODELS,
    "pages.imports": Scope.MODELS,
    "pages.import_model": Scope.MODELS,
    "pages.imported": Scope.MODELS,
    "pages.cancel_import": Scope.MODELS,
    "pages.versions": Scope.READ,
    "versions.end": Scope.MODELS,
    "versions.restore": Scope.MODELS,
    "versions.promote": Scope.MODELS,
    "rollouts.roll_back": Scope.MODELS,
    "versions.remove_channel": Scope.MODELS,
    "pages.promote": Scope.MODELS,
    "pages.roll_back": Scope.MODELS,
    "pages.unset": Scope.MODELS,
    "pages.retire": Scope.MODELS,
    "pages.restore": Scope.MODELS,
    "pages.delete_version": Scope.MODELS,
    "labels.progress": Scope.READ,
    "labels.index": Scope.READ,
    "labels.ask": Scope.LABEL,
    "labels.decide": Scope.LABEL,
    "labels.undo_last": Scope.LABEL,
    "labels.undo_one": Scope.LABEL,
    "label_files.csv": Scope.READ,
    "label_files.json_lines": Scope.READ,
    "label_files.pictures": Scope.READ,
    "label_files.coco": Scope.READ,
    "label_files.label_studio": Scope.READ,
    "label_files.bring_file": Scope.LABEL,
    "label_sets.index": Scope.READ,
    "label_sets.show": Scope.READ,
    "label_sets.create": Scope.LABEL,
    "pages.label": Scope.LABEL,
    "pages.decide": Scope.LABEL,
    "pages.take_back": Scope.LABEL,
    "pages.bring_labels": Scope.LABEL,
    # Faces of all clients, and whose they are: seen by nobody who may only read.
    "personas.index": Scope.PERSONAS,
    "personas.create": Scope.PERSONAS,
    "personas.rename": Scope.PERSONAS,
    "personas.delete": Scope.PERSONAS,
    "personas.merge": Scope.PERSONAS,
    "personas.split": Scope.PERSONAS,
    "personas.faces": Scope.PERSONAS,
    "personas.export": Scope.PERSONAS,
    "personas.classifiers": Scope.PERSONAS,
    "personas.try_promise": Scope.PERSONAS,
    "personas.promise": Scope.PERSONAS,
    "faces.unknown": Scope.PERSONAS,
    "faces.groups": Scope.PERSONAS,
    "faces.show": Scope.PERSONAS,
    "faces.picture": Scope.PERSONAS,
    "faces.decisions": Scope.PERSONAS,
    "faces.say": Scope.PERSONAS,
    "faces.undo_last": Scope.PERSONAS,
    "faces.undo_one": Scope.PERSONAS,
    "pages.personas": Scope.PERSONAS,
    "pages.persona": Scope.PERSONAS,
    "pages.make_persona": Scope.PERSONAS,
    "pages.say_faces": Scope.PERSONAS,
    "pages.undo_faces": Scope.PERSONAS,
    "pages.rename_persona": Scope.PERSONAS,
    "pages.merge_persona": Scope.PERSONAS,
    "pages.delete_persona": Scope.PERSONAS,
    "pages.face": Scope.PERSONAS,
    "pages.face_picture": Scope.PERSONAS,
    "pages.say_face": Scope.PERSONAS,
    "pages.promise": Scope.PERSONAS,
    "pages.set_promise": Scope.PERSONAS,
    # How the service stands is about all clients.
    "health.metrics": Scope.METRICS,
    "audit.index": Scope.ADMIN,
    "keys.index": Scope.ADMIN,
    "keys.create": Scope.ADMIN,
    "keys.show": Scope.ADMIN,
    "keys.revoke": Scope.ADMIN,
    "keys.rotate": Scope.ADMIN,
    "pages.keys": Scope.ADMIN,
    "pages.make_key": Scope.ADMIN,
    "pages.rotate_key": Scope.ADMIN,
    "pages.revoke_key": Scope.ADMIN,
    "pages.audit": Scope.ADMIN,
}

_CHANGED_BY_MODELS = dict.fromkeys(
    (
        "models.index",
        "models.show",
        "versions.report",
        "versions.index",
        "versions.show",
        "versions.channels",
        "versions.channel",
        "versions.history",
        "versions.channel_history",
        "rollouts.canary",
        "rollouts.index",
        "rollouts.show",
        "pages.model",
        "pages.plot",
        "pages.versions",
    ),
    Scope.MODELS,
)
_CHANGED_BY_LABEL = dict.fromkeys(
    (
        "labels.progress",
        "labels.index",
        "label_files.csv",
        "label_files.json_lines",
        "label_files.pictures",
        "label_files.coco",
        "label_files.label_studio",
        "label_sets.index",
        "label_sets.show",
        "pages.thumbnail",
        "pages.picture",
    ),
    Scope.LABEL,
)
ALSO: Mapping[str, Scope] = _CHANGED_BY_MODELS | _CHANGED_BY_LABEL
"""A scope that will do as well as the one in `NEEDS`: who changes something may see what came of it."""


def scopes_for(operation: str) -> tuple[Scope, ...]:
    """The scopes of which an operation needs one, the usual one first; none: nobody's leave is needed.

    Raises:
        KeyError: nobody has said what it needs.
    """
    needed = NEEDS[operation]
    if needed is ANYBODY:
        return ()
    return (needed, ALSO[operation]) if operation in ALSO else (needed,)
