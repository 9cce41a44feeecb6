"""A Flask app around real parts: SQLite in a temporary folder, a store of tiny models, the in-memory broker."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database
from production_server.jobs.records import Failure, Job, NewItem, NewJob, Success
from production_server.jobs.submit import submit
from production_server.models.registry import Registry
from production_server.settings import Settings
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts, build_parts
from testing.small_models import write_image_model, write_table_model

PLOT = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9"/></svg>'


@dataclass(frozen=True)
class Page:
    """An answer as the tests look at it."""

    status: int
    source: str

    @property
    def text(self) -> str:
        """What people read: no tags, white space folded."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.source)).split())

    def element(self, pattern: str) -> str:
        """The first tag that a pattern matches."""
        found = re.search(rf"<[^>]*{pattern}[^>]*>", self.source)
        assert found is not None, f"no element with {pattern}"
        return " ".join(found.group().split())

    def value(self, field_id: str) -> str:
        """What an input holds."""
        found = re.search(r'\bvalue="([^"]*)"', self.element(f'id="{field_id}"'))
        return html.unescape(found.group(1)) if found else ""


def to_page(response: TestResponse) -> Page:
    with response:
        return Page(response.status_code, response.get_data(as_text=True))


@pytest.fixture
def model_store(tmp_path: Path) -> Path:
    """`table` in two versions, the newer one with a plot; `picture`."""
    folder = tmp_path / "store"
    write_table_model(folder)
    add_plot(write_table_model(folder, version="2"), "roc", PLOT)
    write_image_model(folder)
    return folder


def add_plot(version: Path, name: str, data: bytes) -> None:
    """Draw a plot and list it in the version's manifest."""
    (version / "plots").mkdir(exist_ok=True)
    (version / "plots" / f"{name}.svg").write_bytes(data)
    manifest = json.loads((version / "manifest.json").read_text())
    digest = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    manifest["files"][f"plots/{name}.svg"] = digest
    (version / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def parts(tmp_path: Path, model_store: Path, furnish: Callable[[Settings], None]) -> Iterator[WebParts]:
    settings = Settings(
        state_dir=tmp_path, model_store=model_store, max_body_bytes=2**17, max_image_pixels=1_000_000
    )
    furnish(settings)
    built = build_parts(settings)
    # Without the built-in models.
    parts = replace(built, registry=Registry([model_store], known=built.standings.now))
    parts.standings.look_again()
    yield parts
    parts.database.close()


@pytest.fixture
def web(parts: WebParts) -> FlaskClient:
    app = create_app(parts)
    app.testing = True
    return app.test_client()


@pytest.fixture
def get(web: FlaskClient) -> Callable[[str], Page]:
    return lambda path: to_page(web.get(path))


@pytest.fixture
def database(parts: WebParts) -> Database:
    return parts.database


@pytest.fixture
def make_job(database: Database) -> Callable[..., Job]:
    """Stores a job of the `table` model, or of another one, as the page or the API would have."""

    def make(items: Sequence[NewItem], *, model: str = "table", version: str = "2") -> Job:
        new = NewJob(model=model, version=version, items=items, source="test", client="test")
        return submit(database, new)[0]

    return make


@pytest.fixture
def answer(database: Database) -> Callable[[Job, Sequence[Success | Failure]], None]:
    """Stores results as a worker would have."""

    def store(job: Job, results: Sequence[Success | Failure]) -> None:
        held = claim(database, job.id, 0, job.total, lease_s=60, max_attempts=3)
        assert held is not None
        finish(database, held, results)

    return store


def row(*values: float, expected: str | None = None, outside: tuple[str, ...] = ()) -> NewItem:
    return NewItem(json.dumps(values).encode(), None, expected, outside)


def yes(index: int, share: float) -> Success:
    """A table model's answer, at its threshold of 0.2."""
    label, score = ("yes", share) if share >= 0.2 else ("no", 1 - share)
    return Success(index=index, label=label, score=score, output=(1 - share, share), ms=1.0)
