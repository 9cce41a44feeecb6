"""What a user wants predicted: read, checked on this side, and sent as one job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from client.errors import InputError
from client.inputs import ARRAY_SUFFIXES, Files, Items, read_inputs
from client.names import sendable
from client.tables import Table
from client.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from client.answers import Submitted
    from client.api import Server

# A few inputs are answered within the request that brings them.
FEW_INPUTS, WAIT_FOR_FEW_S = 16, 10


class Submission:
    """One row, some images, files of arrays, items in JSON, or a table.

    Raises:
        InputError: It is none of these, or a file cannot be read.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        table: Path | None,
        is_recursive: bool,
        truths: Path | None = None,
    ) -> None:
        if bool(inputs) == (table is not None):
            raise InputError("give either inputs or --csv FILE: see --help for examples")
        self.table: Table | None = None
        self.names: list[str] = []
        self._items: list[Any] = []
        self._uploads: list[Upload] = []
        self._truths: list[Upload] = []
        if table is not None:
            self._uploads = [Upload(table, part="csv")]
            self.table = Table(table)
        else:
            self._read(inputs, is_recursive=is_recursive)
        if truths is not None:
            if self.table is not None or not self._uploads:
                raise InputError("--truths is for images: what is true of rows is a column of --csv FILE")
            self._truths = [Upload(truths, part="truths")]

    def _read(self, inputs: Sequence[str], *, is_recursive: bool) -> None:
        found = read_inputs(inputs, is_recursive=is_recursive)
        if isinstance(found, Files):
            self._uploads = [Upload(path, part="file") for path in found.paths]
            # A file of arrays has many items, which the server calls by its name and their places.
            if not any(path.suffix.lower() in ARRAY_SUFFIXES for path in found.paths):
                self.names = [sendable(str(path)) for path in found.paths]
        elif isinstance(found, Items):
            self._items = found.items
        else:
            self._items = [found]

    def send(self, server: Server, fields: Mapping[str, str], *, waits: bool) -> Submitted:
        """Submit the job; `fields` are model, and maybe version and priority. Few inputs come back with results."""
        is_small = self.table is None and max(len(self._uploads), len(self._items)) <= FEW_INPUTS
        wait_s = WAIT_FOR_FEW_S if waits and is_small else 0
        if self._items:
            return server.submit_items(self._items, fields=fields, wait_s=wait_s)
        return server.submit_files([*self._uploads, *self._truths], fields=fields, wait_s=wait_s)
