"""What is true of files: a table of names and truths, and what is wrong with one."""

from __future__ import annotations

import pytest

from production_server.errors import InvalidInput
from production_server.models.truth_table import read_truth_table


class Truths:
    """Cats and dogs."""

    truth_is_number = False
    truths = "cat or dog"

    def read_truth(self, text: str) -> str | None:
        return text.lower() if text.lower() in ("cat", "dog") else None


def read(text: str) -> dict[str, str]:
    return read_truth_table(text.encode(), Truths())


def faults(text: str) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidInput) as refused:
        read(text)
    return [(fault.field, fault.expected, fault.got) for fault in refused.value.faults]


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na.png,cat\nb.png,Dog\n",
        "Image;truth\r\nphotos/a.png;cat\r\nC:\\photos\\b.png;dog\r\n",
        'name\tlabel\n"a.png"\tcat\n\nb.png\tdog\nc.png\t\n',
        "\ufefffilename,label\na.png,cat\nb.png,dog\na.png,cat",
    ],
)
def test_names_and_truths_are_read_however_they_are_written(text: str) -> None:
    assert read(text) == {"a.png": "cat", "b.png": "dog"}


@pytest.mark.parametrize("text", ["", "a.png,cat\n", "file\na.png\n", "file,label,more\n", "label,file\n"])
def test_the_first_line_names_the_file_and_the_truth(text: str) -> None:
    ((field, expected, _),) = faults(text)

    assert field == "truths line 1"
    assert expected.startswith("a first line with two names, such as file")


def test_what_is_wrong_is_named_by_its_line() -> None:
    text = "file,label\na.png,cat\na.png,dog\nb.png,horse\nc.png\n,cat\n"

    assert faults(text) == [
        ("truths line 3", "one truth of a.png", "two that differ"),
        ("truths line 4", "of b.png: cat or dog", '"horse"'),
        ("truths line 5", "a name and what is true", "1 cells"),
        ("truths line 6", "the name of a file", "none"),
    ]


def test_no_more_faults_are_named_than_anybody_reads() -> None:
    assert len(faults("file,label\n" + "a.png,horse\n" * 50)) == 20


@pytest.mark.parametrize("data", [b"\x89PNG\r\n", b"\xff\xff\xff\xff", b"file,label\n\xe9.png,cat\n"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_truth_table(data, Truths())

    assert refused.value.faults[0].field.startswith("truths")
