"""Which bytes a version was made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from production_server.models.importing.formats import Format
from production_server.models.manifest import FileDigest, Source, digest_of


def source_of(kind: Format, file: Path, weights: Path | None, *, producer: str) -> Source:
    """What a manifest says of a file, a folder, or an architecture with its weights.

    The digest of several files is that of what `sha256sum` prints of all of them, in the order of their names.

    Raises:
        OSError: one cannot be read.
    """
    if file.is_dir():
        files = [(path.relative_to(file).as_posix(), path) for path in file.rglob("*") if path.is_file()]
        digest = _digest_of_all(files)
    elif weights is not None:
        digest = _digest_of_all([(path.name, path) for path in (file, weights)])
    else:
        digest = digest_of(file)
    told = {
        "file": file.name,
        "format": kind.removesuffix("_zip"),
        "producer": producer,
        **digest.model_dump(),
    }
    return Source.model_validate(told)


def _digest_of_all(files: Iterable[tuple[str, Path]]) -> FileDigest:
    digests = [(name, digest_of(path)) for name, path in sorted(files)]
    lines = "".join(f"{digest.sha256}  {name}\n" for name, digest in digests)
    return FileDigest(
        sha256=hashlib.sha256(lines.encode()).hexdigest(),
        size_bytes=sum(digest.size_bytes for _, digest in digests),
    )
