"""The importer's own process: one request as a line of JSON on stdin, its answer as lines of JSON on stdout.

Lines are `{"say": text}`, and at the end `{"imported": …}` or `{"error": …}`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from production_server.confined.child import Asker, answer_one


def main() -> None:
    """Answer the one request, then end; or end when whoever asked is gone."""
    answer_one("imported", _imported)


def _imported(request: dict[str, Any], asker: Asker) -> dict[str, Any]:
    # Imported only now, within the limits: these start threads.
    from production_server.models.importing.described import Described
    from production_server.models.importing.importer import Request, import_file

    request |= {name: Path(text) for name, text in request.pop("paths").items()}
    described = Described(**request.pop("described"))
    asked = Request(described=described, most_bytes=asker.limits.read_bytes, **request)
    imported = import_file(asked, lambda text: asker.tell({"say": text}))
    return {"manifest": imported.manifest.model_dump(mode="json"), "notes": imported.notes}


if __name__ == "__main__":
    main()
