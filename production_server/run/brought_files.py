"""Files that a command is given: paths, or addresses of buckets and folders, which it fetches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from production_server.models.importing.uploads import Part, Uploads
from production_server.settings import Settings
from production_server.storage.storage import Storage
from production_server.worker.import_files import fetch_file


class FileOrAddress(click.Path):
    """A path that exists, or an address."""

    name = "file or address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        if isinstance(value, str) and "://" in value:
            return value
        return Path(str(super().convert(value, param, ctx)))


@contextmanager
def brought(settings: Settings, sources: Mapping[Part, Path | str | None]) -> Iterator[dict[Part, Path]]:
    """Where the files are; those that are addresses are here until the block ends.

    Raises:
        CeleriacError: as `fetch_file`.
    """
    storage = Storage(settings.storage_allow)
    found: dict[Part, Path] = {}
    try:
        with Uploads.of(settings).incoming(most_bytes=settings.import_file_bytes) as files:
            for part, source in sources.items():
                if isinstance(source, str):
                    found[part] = fetch_file(storage, files, part, source, say)
                elif source is not None:
                    found[part] = source
            yield found
    finally:
        storage.close()


def say(text: str) -> None:
    """Tell whoever typed the command, beside what it prints."""
    click.echo(text, err=True)
