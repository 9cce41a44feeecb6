"""The commands about buckets: inject has everything in one classified, scans shows what was asked for."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from client.api import WHILE_FOLLOWING
from client.buckets import scan_output
from client.errors import Unavailable
from client.exits import EPILOG, SOME_FAILED
from client.options import DEFAULT_URL, Shared, shared, timeout, which_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.answers import Scan
    from client.api import Server

POLL_S = 0.5


@click.command(epilog=EPILOG)
@click.argument("location", metavar="LOCATION")
@which_model
@click.option(
    "--pattern",
    metavar="GLOB",
    help="Only objects whose names match, such as '*.jpg'; with a slash, whose keys behind LOCATION do.",
)
@click.option("--again", is_flag=True, help="Also what this version of the model has classified already.")
@click.option("--dry-run", is_flag=True, help="Only count what would be classified.")
@click.option("--no-wait", is_flag=True, help="Print the scan's ID and do not wait.")
@timeout
@shared
def inject(options: Shared, location: str, **arguments: Any) -> None:
    """Classify everything in a bucket or a folder.

    The server's workers list and fetch the objects, where the server may read them: LOCATION is s3://BUCKET/PREFIX,
    gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, or file:///FOLDER on the server.
    What the model has classified already is left out. The scan goes on whatever becomes of this command; the same
    command joins it again.

    \b
    Examples
      inject s3://photos/incoming --model mobilenet --pattern '*.jpg'
      inject gs://photos --model mobilenet --dry-run
      inject file:///srv/images --model fashion_mnist --no-wait
    """
    asked = {"url": location} | {
        name: value for name, value in arguments.items() if value and name not in {"no_wait", "timeout"}
    }
    with options.connect() as server:
        scan = server.start_scan(asked)
        if arguments["no_wait"]:
            options.show(asdict(scan), lambda: click.echo(scan.id))
            return
        _follow(server, scan, options, timeout_s=arguments["timeout"])


@click.command(epilog=EPILOG)
@click.argument("scan_id", required=False, metavar="[ID]")
@click.option("--cancel", is_flag=True, help="Stop listing, and cancel what has not run.")
@click.option("--wait", is_flag=True, help="Wait until all is classified.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="List so many.")
@timeout
@shared
def scans(options: Shared, scan_id: str | None, **arguments: Any) -> None:
    """List scans; or show, stop, wait for one.

    The newest is the first. The results of a scan are those of the job of the same ID.

    \b
    Examples
      scans
      scans 0198c5d2-7c1e-7000-8000-000000000000 --wait
      scans 0198c5d2-7c1e-7000-8000-000000000000 --cancel
    """
    if scan_id is None and (arguments["cancel"] or arguments["wait"]):
        raise click.UsageError("--cancel and --wait need the ID of a scan")
    with options.connect() as server:
        if scan_id is None:
            found = server.scans(limit=arguments["limit"])
            options.show({"scans": [asdict(scan) for scan in found]}, lambda: scan_output.print_scans(found))
            return
        scan = server.cancel_scan(scan_id) if arguments["cancel"] else server.scan(scan_id)
        if arguments["wait"]:
            _follow(server, scan, options, timeout_s=arguments["timeout"])
        else:
            options.show(asdict(scan), lambda: scan_output.print_scan(scan))


def _follow(server: Server, scan: Scan, options: Shared, *, timeout_s: float | None) -> None:
    """Show how far a scan and its job are until both are over, and what came of them.

    Raises:
        Unavailable: they are not over within the time given; they go on.
    """
    server.patience = WHILE_FOLLOWING
    started = time.monotonic()
    with _may_be_left(scan, options), scan_output.progress_of_scan(scan, is_quiet=options.is_quiet) as watch:
        while not scan.is_over:
            if timeout_s is not None and time.monotonic() + POLL_S > started + timeout_s:
                raise Unavailable(f"the scan is not over within {timeout_s:g} s")
            time.sleep(POLL_S)
            scan = server.scan(scan.id)
            watch(scan)
    options.show(asdict(scan), lambda: scan_output.print_scan(scan))
    if not scan.is_success:
        raise click.exceptions.Exit(SOME_FAILED)


@contextlib.contextmanager
def _may_be_left(scan: Scan, options: Shared) -> Iterator[None]:
    """Say how to pick a scan up when it is no longer waited for."""
    try:
        yield
    except (KeyboardInterrupt, Unavailable):
        where = "" if options.url == DEFAULT_URL else f" --url {options.url}"
        sys.stderr.write(
            f"The scan goes on. Pick it up with: python -m client scans {scan.id} --wait{where}\n"
        )
        raise
