"""Files of an import as they come over HTTP, without HTTP."""

from __future__ import annotations

from production_server.models.importing.uploads import IncomingFiles, Part


def come(files: IncomingFiles, part: Part, name: str, data: bytes) -> IncomingFiles:
    """Have one file come whole; returns them all."""
    file = files.open(part, name, field=part)
    file.write(data)
    file.close()
    return files
