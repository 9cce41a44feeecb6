from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from production_server.errors import InvalidInput, TooLarge
from production_server.models.importing.archives import unpack
from production_server.models.importing.formats import format_of


def archive_of(tmp_path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return tmp_path / "a.zip"


def test_files_come_out_in_their_folders(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, **{"mine/saved_model.pb": b"graph", "mine/variables/v": b"w" * 3_000_000})

    unpack(archive, tmp_path / "out")

    assert (tmp_path / "out" / "mine" / "saved_model.pb").read_bytes() == b"graph"
    assert (tmp_path / "out" / "mine" / "variables" / "v").stat().st_size == 3_000_000


@pytest.mark.parametrize("name", ["../out_of_it", "/etc/passwd", "a/../../b", "..\\b", "c:/b"])
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    archive = archive_of(tmp_path, **{"fine": b"1", name: b"2"})

    with pytest.raises(InvalidInput, match="stay in its folder"):
        unpack(archive, tmp_path / "out")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")

    with pytest.raises(InvalidInput, match="a link or device named link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, zeros=b"\0" * 50_000_000)
    assert archive.stat().st_size < 100_000

    with pytest.raises(TooLarge, match="at most 1,000,000 bytes when it is unpacked"):
        unpack(archive, tmp_path / "out", most_bytes=1_000_000)

    assert not (tmp_path / "out").exists()


def test_a_bomb_that_says_it_is_small_stops_at_what_it_says(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, zeros=b"\0" * 50_000_000)
    size = (50_000_000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (1000).to_bytes(4, "little")))

    with pytest.raises(InvalidInput):
        unpack(archive, tmp_path / "out", most_bytes=1_000_000)

    assert not (tmp_path / "out").exists()


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    """Which of both counts, each program would decide by itself."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/b", b"1")
        archive.writestr("a//b", b"2")

    with pytest.raises(InvalidInput, match=r"each name comes once, got a/b"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_file_with_a_password_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, secret=b"1")
    with zipfile.ZipFile(archive) as opened:
        start = opened.start_dir
    data = bytearray(archive.read_bytes())
    data[start + 8] |= 1  # the flag that says so, in the directory
    archive.write_bytes(bytes(data))

    with pytest.raises(InvalidInput, match="without a password, got secret, which is encrypted"):
        unpack(archive, tmp_path / "out")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, **{str(place): b"" for place in range(20)})

    with pytest.raises(TooLarge, match="at most 10 files, got 20"):
        unpack(archive, tmp_path / "out", most_files=10)


def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, a=b"1")
    archive.write_bytes(archive.read_bytes()[:-5])

    with pytest.raises(InvalidInput, match="a zip archive that can be read"):
        unpack(archive, tmp_path / "out")


def test_what_is_both_file_and_folder_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, **{"a": b"1", "a/b": b"2"})

    with pytest.raises(InvalidInput, match="both file and folder"):
        unpack(archive, tmp_path / "out")


def test_a_list_of_files_that_takes_much_memory_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(200):
            archive.writestr(f"{number}{'x' * 60_000}", b"")
    assert (tmp_path / "a.zip").stat().st_size > 2 * 8 * 2**20

    with pytest.raises(
        TooLarge, match="sample: expected an archive whose list of files has at most 8,388,608"
    ):
        unpack(tmp_path / "a.zip", tmp_path / "out", field="sample")
    with pytest.raises(TooLarge, match="file: expected an archive whose list of files has at most"):
        format_of(tmp_path / "a.zip")


def test_faults_name_the_archive_as_it_was_sent(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, **{"../a": b"1"})

    with pytest.raises(InvalidInput) as caught:
        unpack(archive, tmp_path / "out", field="sample")

    assert caught.value.faults[0].field == "sample"
