"""/api/scans: have everything in a bucket classified."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from production_server.access.cancelling import cancel_scan
from production_server.jobs.away import waiting_for
from production_server.jobs.read import get_job
from production_server.jobs.records import NewScan, Scan
from production_server.jobs.scans import get_scan, list_scans
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_json, read_query, to_response
from production_server.web.api.scan_schemas import ScanBody, ScanRequest, ScansBody, ScansQuery
from production_server.web.edge.flask_door import acting, asking_client, whose
from production_server.web.edge.parts import WebParts, current_parts

blueprint = Blueprint("scans", __name__, url_prefix="/api/scans")


@blueprint.post("")
@operation(
    "Classify everything in a bucket",
    body=ScanRequest,
    responses={202: ScanBody, 200: ScanBody},
    errors=(400, 404, 410, 413, 415, 503),
)
def submit() -> Response:
    """Accept a scan: a worker lists the objects, and each that matches becomes an item of the job of the same id.

    What this version of the model has classified already is left out, unless `again`. While the same is being listed
    already, that scan is answered: 200.
    """
    parts, asked = current_parts(), read_json(ScanRequest)
    location = parts.intake.location(asked.url)
    version = parts.registry.resolve(asked.model, asked.version)
    new = NewScan(
        url=location.url,
        pattern=asked.pattern,
        model=version.manifest.name,
        version=version.manifest.version,
        again=asked.again,
        dry_run=asked.dry_run,
        priority=asked.priority,
    )
    scan, is_new = parts.intake.accept_scan(version, new, client=asking_client().name)
    body = _body(parts, scan)
    response = to_response(body, 202 if is_new else 200)
    response.headers["Location"] = body.links.self
    return response


@blueprint.get("")
@operation("List scans, newest first", query=ScansQuery, responses={200: ScansBody}, errors=(400, 503))
def index() -> Response:
    """A page of scans."""
    query, parts = read_query(ScansQuery), current_parts()
    found = list_scans(parts.database, whose=whose(), after=query.after, limit=query.limit)
    is_full = len(found) == query.limit
    return to_response(
        ScansBody(scans=[_body(parts, scan) for scan in found], next=found[-1].id if is_full else None)
    )


@blueprint.get("/<uuid:scan_id>")
@operation("Show a scan", responses={200: ScanBody}, errors=(404, 503))
def show(scan_id: UUID) -> Response:
    """One scan as it stands, with its job."""
    parts = current_parts()
    return to_response(_body(parts, get_scan(parts.database, scan_id, whose=whose())))


@blueprint.delete("/<uuid:scan_id>")
@operation("Stop a scan and cancel what has not run", responses={200: ScanBody}, errors=(404, 503))
def delete(scan_id: UUID) -> Response:
    """Nothing more is listed; what a worker has in hand still finishes, a scan that is over stays as it is."""
    parts = current_parts()
    return to_response(_body(parts, cancel_scan(parts.database, scan_id, whose=whose(), by=acting())))


def _body(parts: WebParts, scan: Scan) -> ScanBody:
    job = None if scan.dry_run else get_job(parts.database, scan.id, whose=None)
    waits = job is not None and not job.is_over
    waiting = waiting_for(parts.database, [scan.id]) if waits else {}
    return ScanBody.of(scan, job, waiting.get(scan.id))
