"""The importer's own process: one request as a line of JSON on stdin, its answer as lines of JSON on stdout.

Lines are `{"say": text}`, and at the end `{"imported": …}` or `{"error": …}`. Whatever libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from production_server.models.importing.limits import Limits, confine, end_with_parent

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def main() -> None:
    """Answer the one request, then end; or end when whoever asked is gone."""
    answers = os.fdopen(os.dup(_STDOUT), "w", encoding="utf-8")
    os.dup2(_STDERR, _STDOUT)

    def tell(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    request = json.loads(_first_line())
    limits = Limits(**request.pop("limits"))
    for note in confine(limits):
        tell({"say": note})
    end_with_parent(_STDIN)
    tell(_answer(request | {"most_bytes": limits.read_bytes}, lambda text: tell({"say": text})))


def _first_line() -> bytes:
    """Up to the end of the line and no further: what comes behind it tells that nobody waits any more."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(_STDIN, 2**16)
        if not piece:
            sys.exit(1)
        line += piece
    return bytes(line)


def _answer(request: dict[str, Any], say: Any) -> dict[str, Any]:
    # Imported only now, within the limits: these start threads.
    from production_server.errors import CeleriacError, InvalidInput
    from production_server.models.importing.described import Described
    from production_server.models.importing.importer import Request, import_file

    request |= {name: Path(text) for name, text in request.pop("paths").items()}
    described = Described(**request.pop("described"))
    try:
        imported = import_file(Request(described=described, **request), say)
    except CeleriacError as exc:
        faults = exc.faults if isinstance(exc, InvalidInput) else ()
        told = _failed(type(exc).__name__, exc.code, str(exc))
        told["error"]["faults"] = [[each.field, each.expected, each.got] for each in faults]
        return told
    except MemoryError:
        return _failed("ImportFailed", "import_failed", "it needs more memory than IMPORT_MEMORY_BYTES")
    except OSError as exc:
        return {
            "error": {"class": "StoreNotWritable", "detail": f"{exc.strerror or exc}", "errno": exc.errno}
        }
    return {"imported": {"manifest": imported.manifest.model_dump(mode="json"), "notes": imported.notes}}


def _failed(kind: str, code: str, detail: str) -> dict[str, Any]:
    return {"error": {"class": kind, "code": code, "detail": detail}}


if __name__ == "__main__":
    main()
