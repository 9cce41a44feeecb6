"""Multipart forms come in pieces of any size, and say what is wrong with them."""

from __future__ import annotations

import io

import pytest
from werkzeug.sansio.multipart import File as FilePart

from production_server.errors import InvalidInput, TooLarge
from production_server.web.edge.multipart import MultipartForm

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

    def begin(self, part: FilePart) -> File:
        self.open += 1
        return File(self, (part.name, part.filename))


class File:
    def __init__(self, files: Files, key: tuple[str, str]) -> None:
        self._files, self._key, self._data = files, key, io.BytesIO()

    def write(self, data: bytes) -> None:
        self._data.write(data)

    def close(self) -> None:
        self._files.open -= 1
        self._files.content[self._key] = self._data.getvalue()


def form_of(files: Files, boundary: str = "b") -> MultipartForm:
    return MultipartForm(boundary, files.begin, most_field_bytes=2000, most_parts=5)


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


@pytest.mark.parametrize("boundary", ["", "b\r\n", "ä"])
def test_without_a_boundary_there_is_no_form(boundary: str) -> None:
    with pytest.raises(InvalidInput, match=r"^form: expected a whole multipart form .* the boundary"):
        form_of(Files(), boundary)


def fields_in(pieces: list[bytes], boundary: str) -> tuple[list[str], dict[tuple[str, str], bytes]]:
    files = Files()
    form = form_of(files, boundary)
    for piece in pieces:
        form.feed(piece)
    form.finish()
    return form.fields.getlist("name"), files.content


@pytest.mark.parametrize("line_break", [b"\r\n", b"\n", b"\r"])
@pytest.mark.parametrize("boundary", ["b", "--b", "---", "----WebKitFormBoundary7MA4YWxkTrZu0gW"])
@pytest.mark.parametrize("padding", [b"", b" ", b" \t" * 20])
def test_spaces_behind_a_boundary_swallow_no_part_wherever_they_are_parted(
    line_break: bytes, boundary: str, padding: bytes
) -> None:
    delimiter = b"--" + boundary.encode()
    head = b'%s%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
    whole = b"\r\n".join(
        (
            head % (delimiter, padding, b"name", b"") + b"one",
            head % (delimiter, padding, b"file", b'; filename="f"') + b"\r\n-\r\r\n\n--x",
            head % (delimiter, padding, b"name", b"") + b"two",
            # Nothing in it: the line break behind its headers is the one before the boundary.
            (head % (delimiter, padding, b"name", b""))[:-2],
            # A header that begins as a boundary does.
            (head % (delimiter, padding, b"file", b'; filename="g"')).replace(b"Con", b"-: 1\r\nCon", 1)
            + b"end\r",
            delimiter + b"--" + padding + b"\r\n",
        )
    ).replace(b"\r\n", line_break)
    sent = fields_in([whole], boundary)
    assert sent[0] == ["one", "two", ""] and len(sent[1]) == 2

    assert fields_in([whole[at : at + 1] for at in range(len(whole))], boundary) == sent
    for at in range(1, len(whole)):
        assert fields_in([whole[:at], whole[at:]], boundary) == sent, whole[max(0, at - 20) : at]


def test_more_spaces_behind_a_boundary_than_are_kept_are_refused() -> None:
    with pytest.raises(InvalidInput, match="more than 4,096 spaces behind a boundary"):
        fields_in([WHOLE[:-4] + b" " * 5000, b"\r\n"], "b")


def test_a_field_is_read_in_the_charset_that_its_part_names() -> None:
    about = (
        b'--b\r\nContent-Disposition: form-data; name="name"\r\nContent-Type: text/plain; charset=%s\r\n\r\n'
    )

    latin = fields_in([about % b"iso-8859-1" + b"\xe9\r\n--b--\r\n"], "b")[0]
    unknown = fields_in([about % b"utf-7" + b"\xc3\xa9\r\n--b--\r\n"], "b")[0]

    assert latin == unknown == ["é"]


def test_a_long_boundary_parts_a_form() -> None:
    files = Files()
    form = form_of(files, "b" * 200)

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
