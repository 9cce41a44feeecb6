"""Takes the results of a job as they come to where the user wants them: a file, or the terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from client import output
from client.api import WHILE_FOLLOWING
from client.errors import Unavailable
from client.files import OwnColumns, ResultFile, check_name, name_of, result_file
from client.following import Following
from client.options import DEFAULT_URL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from client.answers import Job, Result, Submitted
    from client.api import Server
    from client.options import Shared
    from client.tables import Table

FAILURES_SHOWN = 20


class Destination:
    """A file if there is a path, else the terminal. `table` is the CSV that was submitted, `names` the files that were.

    Raises:
        InputError: The file's name does not say CSV or JSON.
    """

    def __init__(self, path: Path | None, *, table: Table | None = None, names: Sequence[str] = ()) -> None:
        if path is not None:
            check_name(path)
        self.path = path
        self.names = names
        self.kept: list[Result] = []
        self._table = table
        self._file: ResultFile | None = None
        self._failures = 0

    @contextlib.contextmanager
    def open(self, server: Server, *, model: str) -> Iterator[None]:
        """Make sure that the file can be written before anything is asked of the server; it is there at the end."""
        if self.path is None:
            yield
            return
        card = server.model(model)
        with result_file(self.path, model=card, names=self.names) as self._file:
            yield

    def begin(self, submitted: Submitted) -> None:
        """Say whose results will come, before the first."""
        if self._file is not None:
            self._file.begin(self._own_columns(submitted))

    def _own_columns(self, submitted: Submitted) -> OwnColumns | None:
        """The rows of the table that was submitted, where it is known which result belongs to which."""
        table, reading = self._table, submitted.table
        if table is None:
            return None
        if reading is None:
            why = "this server does not say which of its lines are rows"
        elif not table.is_as_sent() or sum(1 for _ in table.rows(reading)) != submitted.job.total:
            why = "the file has changed since it was sent"
        else:
            return OwnColumns(table.header(reading), table.rows(reading))
        output.print_error(f"{table.path}: its columns are left out of the results: {why}")
        return None

    def take(self, result: Result) -> None:
        """Write a result, or keep it for a table."""
        if self._file is None:
            self.kept.append(result)
            return
        self._file.write(result)
        if result.error is not None:
            self._failures += 1
            if self._failures <= FAILURES_SHOWN:
                output.print_error(f"{name_of(result, self.names)}: {result.error}")


def show_results(
    server: Server,
    submitted: Submitted,
    options: Shared,
    *,
    destination: Destination,
    timeout_s: float | None,
) -> bool:
    """Wait for a job's results, bring them to their destination, and say whether all succeeded."""
    server.patience = WHILE_FOLLOWING
    job = submitted.job
    destination.begin(submitted)
    following = Following(server, submitted, timeout_s=timeout_s)
    with _may_be_left(job, options), output.progress_of(job, is_quiet=options.is_quiet) as watch:
        for result in following.results(watch=watch):
            destination.take(result)
    job = following.job
    if destination.path is None:
        content = output.results_as_json(job, destination.kept)
        options.show(content, lambda: output.print_results(destination.kept, names=destination.names))
    else:
        options.show(output.results_as_json(job, []), lambda: None)
    if not options.is_quiet and not options.as_json and job.total > 1:
        output.print_note(output.summary(job, destination.path))
    return job.succeeded == job.total


@contextlib.contextmanager
def _may_be_left(job: Job, options: Shared) -> Iterator[None]:
    """Say how to pick a job up when its results are no longer waited for."""
    try:
        yield
    except (KeyboardInterrupt, Unavailable):
        where = "" if options.url == DEFAULT_URL else f" --url {options.url}"
        sys.stderr.write(f"The job goes on. Pick it up with: python -m client jobs {job.id} --wait{where}\n")
        raise
