"""Searching results, on both databases."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from production_server.jobs import search as module
from production_server.jobs.database import Database
from production_server.jobs.search import Found, Place, Search, every_result, search
from production_server.jobs.series import Chosen
from production_server.models.tasks.label_sets import to_text
from production_server.models.tasks.several_labels import MAX_BYTES
from tests.unit.jobs.results import Answer, classified, classified_objects, let_be_finished_at
from tests.unit.jobs.test_jobs import accept

NAMES = ("Cat.png", "dog 100%.png", "under_score.png", "fish.PNG")
ANSWERS: tuple[Answer, ...] = (("cat", 0.9), ("dog", 0.4), "not_an_image", ("cat", 1.0))
URLS = ("s3://pets/in/a.jpg", "s3://pets/in/b.jpg", "s3://pets/out/c.jpg", "s3://petsitters/d.jpg")


def names(database: Database, **wanted: object) -> list[str | None]:
    return [found.item.name for found in search(database, Search(**wanted), limit=100)]  # type: ignore[arg-type]


@pytest.fixture
def filled(database: Database) -> Database:
    """Four uploads at 1000 s, four objects at 2000 s, and items that nobody has looked at."""
    let_be_finished_at(database, classified(database, ANSWERS, names=NAMES), 1000)
    answers: list[Answer] = [("mug", 0.2), ("cat", 0.95), "object_missing", ("mug", 0.3)]
    let_be_finished_at(database, classified_objects(database, URLS, answers), 2000)
    accept(database, 3)
    return database


FINDS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["d.jpg", "c.jpg", "b.jpg", "a.jpg", *reversed(NAMES)]),
    ({"label": "cat"}, ["b.jpg", "fish.PNG", "Cat.png"]),
    ({"label": "ca"}, []),
    ({"state": "failed"}, ["c.jpg", "under_score.png"]),
    ({"state": "succeeded", "label": "dog"}, ["dog 100%.png"]),
    ({"error_code": "object_missing"}, ["c.jpg"]),
    ({"chosen": Chosen(model="picture"), "label": "cat"}, ["b.jpg"]),
    ({"chosen": Chosen(source="http")}, list(reversed(NAMES))),
    ({"chosen": Chosen(version="9")}, []),
    ({"min_score": 0.9}, ["b.jpg", "fish.PNG", "Cat.png"]),
    ({"min_score": 0.9, "max_score": 1.0}, ["b.jpg", "fish.PNG", "Cat.png"]),
    ({"min_score": 0.3, "max_score": 0.4}, ["d.jpg"]),
    ({"max_score": 0.2}, []),
    ({"since": 2000}, ["d.jpg", "c.jpg", "b.jpg", "a.jpg"]),
    ({"until": 2000}, list(reversed(NAMES))),
    ({"since": 1000, "until": 1001, "label": "cat"}, ["fish.PNG", "Cat.png"]),
    ({"key": "cat"}, ["Cat.png"]),
    ({"key": ".png"}, list(reversed(NAMES))),
    ({"key": "100%"}, ["dog 100%.png"]),
    ({"key": "r_s"}, ["under_score.png"]),
    ({"key": "s3://pets/"}, ["c.jpg", "b.jpg", "a.jpg"]),
    ({"key": "s3://pets/in/"}, ["b.jpg", "a.jpg"]),
    ({"key": "s3://pets"}, ["d.jpg", "c.jpg", "b.jpg", "a.jpg"]),
    ({"key": "s3://pets/in/a.jpg"}, ["a.jpg"]),
    ({"key": "s3://PETS/"}, []),
    ({"key": "s3://pets/", "label": "cat", "since": 2000}, ["b.jpg"]),
    ({"key": "s3://pets/", "until": 2000}, []),
]


@pytest.mark.parametrize("few", [10_000, 0])
def test_what_is_so_is_found_newest_first(
    filled: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Also where there are too many objects to look at each of them."""
    monkeypatch.setattr(module, "FEW_OBJECTS", few)

    assert [(wanted, names(filled, **wanted)) for wanted, _ in FINDS] == FINDS


def test_pages_follow_each_other_also_within_one_moment(filled: Database) -> None:
    for key, count in ((None, 8), ("s3://pets", 4), (".jpg", 4)):
        assert len(paged(filled, Search(key=key))) == count


def paged(filled: Database, wanted: Search) -> list[Found]:
    """All pages of a search, which are what one large page is."""
    everything = search(filled, wanted, limit=100)

    pages = []
    after: Place | None = None
    while page := search(filled, wanted, after=after, limit=3):
        pages += page
        after = page[-1].place

    assert pages == everything == list(every_result(filled, wanted, page=2))
    assert len({found.place for found in pages}) == len(pages)
    return pages


def test_a_result_tells_whose_it_is(filled: Database) -> None:
    (found,) = search(filled, Search(key="s3://pets/in/b.jpg"), limit=10)

    assert (found.model, found.version, found.source) == ("picture", "1", "event")
    assert (found.place.finished_at, found.place.index) == (2000, 1)
    assert (found.item.label, found.item.score, found.item.url) == ("cat", 0.95, "s3://pets/in/b.jpg")


SEVERAL: tuple[Answer, ...] = (
    (("cat", "dog"), 0.9),
    (("dog",), 0.4),
    ((), 0.1),
    "not_an_image",
    (("catfish",), 0.8),
)


def test_one_of_several_labels_finds_its_items(database: Database) -> None:
    classified(database, SEVERAL, names=["both", "dog", "neither", "broken", "fish"], model="tags")
    classified(database, [("cat", 0.9), ("|", 0.8)], names=["one cat", "a bar"])

    assert names(database, label="cat") == ["one cat", "both"]
    assert names(database, label="dog") == ["dog", "both"]
    assert names(database, label="CAT") == []
    assert names(database, label="cat", chosen=Chosen(model="tags")) == ["both"]
    assert names(database, label="|") == ["a bar", "neither"]
    assert names(database, state="succeeded", chosen=Chosen(model="tags")) == [
        "fish",
        "neither",
        "dog",
        "both",
    ]
    assert names(database, state="failed") == ["broken"]


def test_as_many_labels_as_an_item_may_have_are_stored_and_found(database: Database) -> None:
    """An index of PostgreSQL refuses texts that are longer, and cannot be made shorter by compression."""
    labels = tuple(hashlib.sha512(str(number).encode()).hexdigest()[:98] for number in range(20))
    assert MAX_BYTES - 100 < len(to_text(labels)) <= MAX_BYTES
    classified(database, [(labels, 0.9)], names=["all"])

    assert names(database, label=labels[7]) == ["all"]


VALUES = (1e308, 1e-320, -1.5, 0.30000000000000004, 2**53 + 1, 2**64 - 1, -(2**63), 1.0, 0)


def test_values_are_stored_with_all_their_digits_and_found_by_number(database: Database) -> None:
    classified(database, VALUES, names=[repr(value) for value in VALUES])

    found = search(database, Search(), limit=100)

    outputs = [each.item.output[0] for each in reversed(found)]
    assert outputs == list(VALUES)
    assert [type(each) for each in outputs] == [type(each) for each in VALUES]
    assert [each.item.score for each in reversed(found)] == [float(value) for value in VALUES]
    assert names(database, min_score=1e308) == ["1e+308"]
    assert names(database, min_score=1e-320, max_score=0.2) == ["1e-320"]
    assert names(database, min_score=0.2, max_score=1) == ["0.30000000000000004"]
    assert names(database, max_score=-1.5) == [repr(-(2**63))]
    assert names(database, state="failed") == []
