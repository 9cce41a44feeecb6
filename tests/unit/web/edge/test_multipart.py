"""Multipart forms come in pieces of any size, and say what is wrong with them."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, MultipartDecoder, NeedData
from werkzeug.sansio.multipart import Field as FieldPart
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


USUAL = b'Content-Disposition: form-data; name="file"; filename="%d.png"\r\n'
HEADS = st.sampled_from(
    [
        USUAL % 1 + b"Content-Type: image/png\r\n\r\n",
        USUAL % 2 + b"\r\n",
        USUAL % 3 + b"\r\n--b\r\n",
        USUAL % 4 + b"Content-Type: text/plain; charset=utf-8\r\n\r\n",
        USUAL % 5 + b"Content-Type: a\n\n",
        USUAL % 6,
        (USUAL % 7).replace(b"Content", b"content") + b"\r\n",
        b'Content-Disposition: form-data; name="file"; filename="\xc3\xa9%22.png"\r\n\r\n',
        b'Content-Disposition: form-data; name="file"; filename="a\\"b.png"\r\n\r\n',
        b'Content-Disposition: form-data; name="file"; filename=""\r\n\r\n',
        b'Content-Disposition: form-data; name=""; filename="a"\r\n\r\n',
        b'Content-Disposition: form-data; name=" f;ile "; filename="a;name=b .png "\r\n\r\n',
        b'Content-Disposition: form-data; name="field"\r\n\r\n',
        b'Content-Disposition: form-data; name="\xff"; filename="a"\r\n\r\n',
    ]
)
BOUNDARIES = st.sampled_from(
    [b"\r\n--b\r\n"] * 6
    + [b"\r\n--b \r\n", b"\n--b\n", b"\r--b\r", b"--b\r\n", b"\r\n--b", b"\r\n--b--\r\n", b"\r\n--bb\r\n"]
)
BYTES = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--b", b"--", b"b", b" ", b"x", b"\x89PNG", USUAL % 8]),
    max_size=8,
).map(b"".join)


def by_werkzeug(sent: bytes) -> list[tuple[object, ...]] | None:
    """Name, file name, headers and content of each part, as Werkzeug's decoder alone reads a form; None: it refuses."""
    decoder = MultipartDecoder(b"b", 10_000, max_parts=50)
    found: list[tuple[object, ...]] = []
    try:
        decoder.receive_data(sent)
        decoder.receive_data(None)
        while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
            if isinstance(event, Data):
                found[-1] = (*found[-1][:-1], found[-1][-1] + event.data)  # type: ignore[operator]
            elif isinstance(event, FieldPart | FilePart):
                if not event.name:
                    return None
                found.append((event.name, getattr(event, "filename", None), list(event.headers), b""))
    except (ValueError, RequestEntityTooLarge):
        return None
    return [each for each in found if each[1] is not None]


class Told:
    """The files of a form, in order, with all that is told of them."""

    def __init__(self) -> None:
        self.files: list[tuple[object, ...]] = []

    def begin(self, part: FilePart) -> Told:
        self.files.append((part.name, part.filename, list(part.headers), b""))
        return self

    def write(self, data: bytes) -> None:
        self.files[-1] = (*self.files[-1][:-1], self.files[-1][-1] + data)  # type: ignore[operator]

    def close(self) -> None:
        pass


def by_us(pieces: list[bytes]) -> list[tuple[object, ...]] | None:
    told = Told()
    form = MultipartForm("b", told.begin, most_field_bytes=10_000, most_parts=50)
    try:
        for piece in pieces:
            form.feed(piece)
        form.finish()
    except (InvalidInput, TooLarge):
        return None
    return told.files


@given(
    st.lists(st.tuples(HEADS, BYTES, BOUNDARIES), max_size=8), st.lists(st.floats(0, 1), max_size=3), BYTES
)
def test_files_are_what_werkzeugs_decoder_alone_makes_of_them(
    parts: list[tuple[bytes, bytes, bytes]], cuts: list[float], rest: bytes
) -> None:
    for ending in (b"\r\n--b--\r\n", rest):
        sent = b"--b\r\n" + b"".join(b"".join(part) for part in parts) + ending
        places = sorted({0, len(sent), *(int(cut * len(sent)) for cut in cuts)})
        pieces = [sent[start:end] for start, end in itertools.pairwise(places)]

        wanted = by_werkzeug(sent)

        assert by_us([sent]) == wanted
        assert by_us(pieces) == wanted


def test_many_usual_files_are_no_more_parts_than_are_allowed() -> None:
    part = b"--b\r\n" + USUAL % 1 + b"\r\nx\r\n"

    assert fields_in([part * 5 + b"--b--\r\n"], "b")[1] == {("file", "1.png"): b"x"}
    with pytest.raises(TooLarge, match="up to 5 parts"):
        fields_in([part * 6 + b"--b--\r\n"], "b")
