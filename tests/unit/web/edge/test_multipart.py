"""Multipart forms come in pieces of any size, and say what is wrong with them."""

from __future__ import annotations

import io

import pytest

from production_server.errors import InvalidInput, TooLarge
from production_server.web.edge.multipart import MultipartForm

TYPE = "multipart/form-data; boundary=b"
FILE = b"\r\n--b\r\n--bb--\r--b-\n\r\n--" + bytes(range(256))
WHOLE = (
    b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nm\xc3\xafne\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.onnx"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
    + FILE.replace(b"\r\n--b", b"\r\n--c")
    + b'\r\n--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n\r\n--b--\r\n'
)


class Files:
    """Files that have come, by field and name."""

    def __init__(self) -> None:
        self.content: dict[tuple[str, str], bytes] = {}
        self.open = 0

    def begin(self, field: str, name: str) -> File:
        self.open += 1
        return File(self, (field, name))


class File:
    def __init__(self, files: Files, key: tuple[str, str]) -> None:
        self._files, self._key, self._data = files, key, io.BytesIO()

    def write(self, data: bytes) -> None:
        self._data.write(data)

    def close(self) -> None:
        self._files.open -= 1
        self._files.content[self._key] = self._data.getvalue()


def form_of(files: Files, content_type: str = TYPE) -> MultipartForm:
    return MultipartForm(content_type, files.begin, most_field_bytes=2000, most_parts=5)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, len(WHOLE)])
def test_a_form_is_the_same_in_whatever_pieces_it_comes(size: int) -> None:
    files = Files()
    form = form_of(files)

    for start in range(0, len(WHOLE), size):
        form.feed(WHOLE[start : start + size])
    form.finish()

    assert form.fields.getlist("name") == ["mïne", ""]
    assert files.content == {("file", "a.onnx"): FILE.replace(b"\r\n--b", b"\r\n--c")}
    assert files.open == 0


@pytest.mark.parametrize("at", range(1, len(WHOLE)))
def test_a_form_is_the_same_wherever_it_is_parted(at: int) -> None:
    files = Files()
    form = form_of(files)

    form.feed(WHOLE[:at])
    form.feed(WHOLE[at:])
    form.finish()

    assert form.fields.getlist("name") == ["mïne", ""]
    assert files.content == {("file", "a.onnx"): FILE.replace(b"\r\n--b", b"\r\n--c")}


@pytest.mark.parametrize("end", range(0, len(WHOLE) - 4, 7))
def test_a_form_that_is_cut_off_is_refused_wherever_it_is(end: int) -> None:
    files = Files()
    form = form_of(files)

    def read() -> None:
        form.feed(WHOLE[:end])
        form.finish()

    with pytest.raises(InvalidInput, match=r"^form: expected a whole multipart form"):
        read()
    form.close()
    assert files.open == 0


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx", "a name in each part"),
        (b"--b\r\nContent-Type: text/plain\r\n\r\nx", "a damaged one"),
        (b'--b\r\nContent-Disposition: form-data; name="\xe9"\r\n\r\nx', "in UTF-8"),
    ],
)
def test_a_part_that_cannot_be_told_is_refused(sent: bytes, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        form_of(Files()).feed(sent)


@pytest.mark.parametrize("more", ["", "; boundary=", f"; boundary={'b' * 201}"])
def test_without_a_boundary_of_some_length_there_is_no_form(more: str) -> None:
    with pytest.raises(InvalidInput, match=r"^form: expected a boundary of up to 200 characters"):
        form_of(Files(), f"multipart/form-data{more}")


def test_the_longest_boundary_parts_a_form() -> None:
    files = Files()
    form = form_of(files, f"multipart/form-data; boundary={'b' * 200}")

    form.feed(WHOLE.replace(b"--b", b"--" + b"b" * 200))
    form.finish()

    assert form.fields.getlist("name") == ["mïne", ""]


@pytest.mark.parametrize("size", [100, 3000])
def test_a_field_that_is_too_long_is_refused_and_a_file_of_that_size_is_not(size: int) -> None:
    files, head = Files(), b'--b\r\nContent-Disposition: form-data; name="x"%s\r\n\r\n'
    form, as_file = form_of(files), form_of(files)

    def feed(to: MultipartForm, data: bytes) -> None:
        for start in range(0, len(data), size):
            to.feed(data[start : start + size])

    feed_file = as_file if size == 100 else form_of(files)
    with pytest.raises(TooLarge, match=r"^form: expected fields of up to 2,000 bytes"):
        feed(form, head % b"" + b"x" * 3000)
    if size == 100:
        feed(feed_file, head % b'; filename="y"' + b"x" * 3000 + b"\r\n--b--\r\n")
        feed_file.finish()
        assert files.content["x", "y"] == b"x" * 3000


def test_a_form_of_too_many_parts_is_refused() -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'

    with pytest.raises(TooLarge, match="up to 5 parts"):
        form_of(Files()).feed(part * 6)
