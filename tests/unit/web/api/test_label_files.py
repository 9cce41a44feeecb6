"""Labels as files, out and in again, over HTTP; and sets of them."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from production_server.access.scopes import Scope
from production_server.intake.label_files import folder_of
from production_server.web.edge.parts import WebParts
from tests.unit.web.test_whose import Asking, keys

__all__ = ["keys"]
PICTURE = "/api/labels/picture"
TABLE = "/api/labels/table"


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def bring(web: FlaskClient, data: bytes | str, path: str = PICTURE, **fields: str) -> Any:
    key = fields.pop("key", None)
    sent = data.encode() if isinstance(data, str) else data
    return web.post(
        f"{path}/import",
        data={"file": (io.BytesIO(sent), "labels"), **fields},
        headers={"Idempotency-Key": key} if key else {},
    )


@pytest.fixture
def pictures(web: FlaskClient, work: Any) -> dict[str, Any]:
    """A job of three pictures with answers, of which two have a label: =1+1, a new one, and dark."""
    files = [
        (io.BytesIO(png(shade)), name) for shade, name in [(10, "=a.png"), (20, "b.png"), (200, "c.png")]
    ]
    job: dict[str, Any] = web.post("/api/jobs", data={"model": "picture", "file": files}).get_json()
    work(job)
    for index, label in ((0, "=1+1"), (1, "dark")):
        body = {"job": job["id"], "index": index, "label": label, "new": True}
        assert web.post(f"{PICTURE}/decisions", json=body).status_code == 201
    return job


def test_no_cell_of_a_table_is_a_formula_and_the_table_can_be_brought_back(
    web: FlaskClient, pictures: dict[str, Any]
) -> None:
    table = web.get(f"{PICTURE}/labels.csv").text

    header, first, second = table.splitlines()
    assert header == "job,index,name,url,label,predicted,score,version,who,at"
    assert first.startswith(f"{pictures['id']},0,'=a.png,,'=1+1,dark,0.96")
    assert second.startswith(f"{pictures['id']},1,b.png,,dark,dark,")
    assert bring(web, table, new="true").get_json() == {
        "stored": 0, "unchanged": 2, "refused": 0, "faults": [], "job": None,
    }  # fmt: skip


def test_rows_go_out_with_what_went_in(web: FlaskClient, work: Any) -> None:
    job = web.post("/api/jobs", json={"model": "table", "inputs": [[4, 7]]}).get_json()
    work(job)
    web.post(f"{TABLE}/decisions", json={"job": job["id"], "index": 0})

    header, row = web.get(f"{TABLE}/labels.csv").text.splitlines()

    assert header.endswith(",who,at,index,weight")
    assert row.endswith(",4,7")
    for path in ("labels.zip", "coco.json", "label-studio.json"):
        assert web.get(f"{TABLE}/{path}").status_code == 400


@pytest.mark.parametrize("path", ["labels.jsonl", "coco.json", "label-studio.json"])
def test_each_kind_of_file_can_be_brought_back(web: FlaskClient, pictures: dict[str, Any], path: str) -> None:
    data = web.get(f"{PICTURE}/{path}").data
    for _ in range(2):
        web.delete(f"{PICTURE}/decisions/last")

    brought = bring(web, data, new="true").get_json()

    assert (brought["stored"], brought["refused"]) == (2, 0)
    labels = [line.split(",")[4] for line in web.get(f"{PICTURE}/labels.csv").text.splitlines()[1:]]
    assert labels == ["'=1+1", "dark"]


def test_coco_is_as_others_read_it(web: FlaskClient, pictures: dict[str, Any]) -> None:
    document = web.get(f"{PICTURE}/coco.json").get_json()

    assert [each["name"] for each in document["categories"]] == ["=1+1", "dark"]
    image, annotation = document["images"][1], document["annotations"][1]
    assert (image["id"], image["width"], image["height"]) == (2, 4, 4)
    assert image["file_name"] == f"dark/{pictures['id']}-1.png"
    assert (annotation["image_id"], annotation["category_id"], annotation["bbox"]) == (2, 2, [0, 0, 4, 4])


def test_label_studios_tasks_are_as_it_reads_them(web: FlaskClient, pictures: dict[str, Any]) -> None:
    task = web.get(f"{PICTURE}/label-studio.json").get_json()[1]

    assert task["data"] == {"image": "b.png", "job": pictures["id"], "index": 1}
    (result,) = task["annotations"][0]["result"]
    assert (result["type"], result["value"]) == ("choices", {"choices": ["dark"]})
    assert task["predictions"][0]["model_version"] == "1"


def test_lines_of_json_tell_the_digests_of_inputs(web: FlaskClient, pictures: dict[str, Any]) -> None:
    import hashlib

    first = json.loads(web.get(f"{PICTURE}/labels.jsonl").text.splitlines()[0])

    assert (first["label"], first["sha256"]) == ("=1+1", hashlib.sha256(png(10)).hexdigest())


def test_pictures_go_out_in_folders_and_come_in_as_a_job_with_labels(
    web: FlaskClient, pictures: dict[str, Any], work: Any
) -> None:
    data = web.get(f"{PICTURE}/labels.zip").data
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == [
        f"=1+1/{pictures['id']}-0.png",
        f"dark/{pictures['id']}-1.png",
    ]

    brought = bring(web, data, new="true", key="once").get_json()
    again = bring(web, data, new="true", key="once").get_json()

    assert (brought["stored"], again["stored"], again["unchanged"]) == (2, 0, 2)
    assert brought["job"] == again["job"]
    job = web.get(f"/api/jobs/{brought['job']}").get_json()
    work(job)
    assert (job["source"], job["total"]) == ("labels", 2)
    expected = [each["expected"] for each in web.get(f"/api/jobs/{job['id']}/results").get_json()["results"]]
    assert expected == [None, "dark"]


def test_one_bad_picture_is_told_and_its_neighbours_live(web: FlaskClient) -> None:
    data = zipped(
        {
            "photos/dark/a.png": png(10),
            "photos/dark/b.png": b"no image",
            "photos/bright/c.png": png(250),
            "photos/purple/d.png": png(9),
            "__MACOSX/dark/._a.png": b"",
        }
    )

    brought = bring(web, data).get_json()

    assert (brought["stored"], brought["refused"]) == (2, 2)
    assert [each["field"] for each in brought["faults"]] == ["dark/b.png", "purple/d.png"]


def test_annotations_come_with_their_pictures(web: FlaskClient) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "images/a.png"}, {"id": 2, "file_name": "elsewhere.png"}],
        "annotations": [{"image_id": 1, "category_id": 1}, {"image_id": 2, "category_id": 1}],
        "categories": [{"id": 1, "name": "dark"}],
    }

    brought = bring(
        web, zipped({"x/coco.json": json.dumps(coco).encode(), "x/images/a.png": png(1)})
    ).get_json()

    assert (brought["stored"], brought["refused"]) == (1, 1)
    assert brought["faults"][0]["field"] == "image 2"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (zipped({"../dark/a.png": png(1)}), "an archive whose files stay in its folder"),
        (zipped({"a.png": png(1)}), "a folder of images for each label"),
        (b"PK\3\4nonsense", "a zip archive that can be read"),
        (b"\xff\xfe\xff", "UTF-8"),
        (b"[1, 2", "JSON"),
        (b"a,b\n", "a first line with names"),
    ],
    ids=["leads elsewhere", "no folders", "damaged", "no text", "no JSON", "no names"],
)
def test_a_file_that_is_none_is_refused(web: FlaskClient, data: bytes, told: str) -> None:
    refused = bring(web, data)

    assert refused.status_code == 400
    assert told in json.dumps(refused.get_json())


def test_a_text_for_a_file_is_refused(web: FlaskClient) -> None:
    refused = web.post(f"{PICTURE}/import", data={"file": "labels.csv"}, content_type="multipart/form-data")

    assert (refused.status_code, "curl: -F file=@FILE" in refused.get_json()["detail"]) == (400, True)
    assert web.post(f"{PICTURE}/import", json={}).status_code == 415


def test_pictures_take_a_key_that_may_predict(web: FlaskClient, keys: dict[str, str]) -> None:
    data = zipped({"dark/a.png": png(1)})

    refused = Asking(web, keys[Scope.LABEL])(
        "POST", f"{PICTURE}/import", data={"file": (io.BytesIO(data), "a.zip")}
    )

    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("T-shirt/top", "T-shirt%2Ftop"),
        ("..", "%2E%2E"),
        (".a", "%2Ea"),
        ("a:b\\c", "a%3Ab%5Cc"),
        ("größer", "gr%C3%B6%C3%9Fer"),
    ],
)
def test_a_folder_stays_where_it_belongs(label: str, folder: str) -> None:
    from urllib.parse import unquote

    assert folder_of(label) == folder
    assert unquote(folder) == label


def test_a_set_is_kept_as_it_was(web: FlaskClient, pictures: dict[str, Any]) -> None:
    made = web.post("/api/label-sets", json={"name": "first", "model": "picture"})
    web.delete(f"{PICTURE}/decisions/last")

    assert (made.status_code, made.headers["Location"]) == (201, "/api/label-sets/first")
    assert made.get_json()["items"] == 2 and len(made.get_json()["digest"]) == 64
    assert len(web.get(f"{PICTURE}/labels.csv").text.splitlines()) == 2
    assert len(web.get(f"{PICTURE}/labels.csv?set=first").text.splitlines()) == 3
    assert web.get("/api/label-sets").get_json()["sets"] == [made.get_json()]
    assert web.get("/api/label-sets/first").get_json() == made.get_json()
    assert web.post("/api/label-sets", json={"name": "first", "model": "picture"}).status_code == 409
    assert web.get(f"{TABLE}/labels.csv?set=first").status_code == 400
    assert web.get(f"{PICTURE}/labels.csv?set=nothing").get_json()["code"] == "label_set_not_found"


def test_what_belongs_to_somebody_else_is_in_no_file(
    web: FlaskClient, parts: WebParts, pictures: dict[str, Any], keys: dict[str, str]
) -> None:
    bert = Asking(web, keys["bert"])

    assert len(bert("GET", f"{PICTURE}/labels.csv").text.splitlines()) == 1
    assert bert("GET", f"{PICTURE}/labels.jsonl").text == ""
    assert bert("GET", f"{PICTURE}/coco.json").get_json()["images"] == []
