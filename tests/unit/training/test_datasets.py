from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from production_server.training.datasets import Source, _read_idx, cache_directory, obtain
from production_server.training.errors import DataError, DigestError, DownloadError

if TYPE_CHECKING:
    from tests.unit.training.conftest import Origin, Transcript


@pytest.fixture
def source(origin: Origin) -> Source:
    digest = hashlib.sha256(origin.content).hexdigest()
    return Source("toys", "data.bin", origin.url, digest, title="Toys", licence="CC0-1.0")


def test_a_dataset_is_downloaded_once_and_then_read_from_the_cache(
    source: Source, origin: Origin, transcript: Transcript, tmp_path: Path
) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path)}

    first = obtain(source, transcript, environment=environment)
    second = obtain(source, transcript, environment=environment)

    assert first == second == tmp_path / "celeriac/datasets/toys/data.bin"
    assert first.read_bytes() == origin.content
    assert origin.asked == [None]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    source: Source, origin: Origin, transcript: Transcript, tmp_path: Path
) -> None:
    origin.hang_up_after = 100_000

    path = obtain(source, transcript, environment={"XDG_CACHE_HOME": str(tmp_path)})

    assert path.read_bytes() == origin.content
    assert len(origin.asked) == 2
    assert origin.asked[1] is not None
    assert origin.asked[1].startswith("bytes=")


def test_a_download_goes_on_with_what_an_earlier_run_left(
    source: Source, origin: Origin, transcript: Transcript, tmp_path: Path
) -> None:
    partial = tmp_path / "celeriac/datasets/toys/data.bin.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(origin.content[:123_456])

    path = obtain(source, transcript, environment={"XDG_CACHE_HOME": str(tmp_path)})

    assert path.read_bytes() == origin.content
    assert origin.asked == ["bytes=123456-"]
    assert not partial.exists()


def test_a_complete_partial_file_is_not_fetched_again(
    source: Source, origin: Origin, transcript: Transcript, tmp_path: Path
) -> None:
    partial = tmp_path / "celeriac/datasets/toys/data.bin.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(origin.content)

    path = obtain(source, transcript, environment={"XDG_CACHE_HOME": str(tmp_path)})

    assert path.read_bytes() == origin.content


def test_an_origin_without_ranges_is_read_from_the_start(
    source: Source, origin: Origin, transcript: Transcript, tmp_path: Path
) -> None:
    origin.has_ranges = False
    partial = tmp_path / "celeriac/datasets/toys/data.bin.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"something else")

    path = obtain(source, transcript, environment={"XDG_CACHE_HOME": str(tmp_path)})

    assert path.read_bytes() == origin.content


def test_a_download_with_a_wrong_digest_is_refused_and_thrown_away(
    source: Source, origin: Origin, transcript: Transcript, tmp_path: Path
) -> None:
    origin.content = origin.content[:-1] + b"!"

    with pytest.raises(DigestError, match="SHA-256"):
        obtain(source, transcript, environment={"XDG_CACHE_HOME": str(tmp_path)})

    assert not list((tmp_path / "celeriac/datasets/toys").iterdir())


def test_a_file_of_the_data_folder_with_a_wrong_digest_is_refused(
    source: Source, origin: Origin, transcript: Transcript, tmp_path: Path
) -> None:
    own = tmp_path / "toys/data.bin"
    own.parent.mkdir()
    own.write_bytes(b"tampered")

    with pytest.raises(DigestError, match="expected"):
        obtain(source, transcript, environment={"MODEL_DATA_DIR": str(tmp_path)})

    assert own.exists()
    assert origin.asked == []


def test_the_data_folder_is_used_before_the_origin(
    source: Source, origin: Origin, transcript: Transcript, tmp_path: Path
) -> None:
    own = tmp_path / "toys/data.bin"
    own.parent.mkdir()
    own.write_bytes(origin.content)

    assert obtain(source, transcript, environment={"MODEL_DATA_DIR": str(tmp_path)}) == own
    assert origin.asked == []


def test_an_origin_that_answers_with_an_error_is_named(
    source: Source, origin: Origin, transcript: Transcript, tmp_path: Path
) -> None:
    gone = Source("toys", "data.bin", origin.url + ".gone", source.sha256, title="Toys", licence="")

    with pytest.raises(DownloadError, match=r"data\.bin\.gone answers 404"):
        obtain(gone, transcript, environment={"XDG_CACHE_HOME": str(tmp_path)})


def test_an_origin_that_cannot_be_reached_is_named(transcript: Transcript, tmp_path: Path) -> None:
    away = Source("toys", "data.bin", "http://127.0.0.1:9/data.bin", "0" * 64, title="Toys", licence="")

    with pytest.raises(DownloadError, match="run again to go on"):
        obtain(away, transcript, environment={"XDG_CACHE_HOME": str(tmp_path)})


def test_the_cache_is_below_the_home_folder_by_default() -> None:
    assert cache_directory({}) == Path.home() / ".cache/celeriac"


def test_an_idx_file_is_read_in_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x02" + b"\0\0\0\x02" + b"\0\0\0\x03" + bytes(range(6))))

    assert _read_idx(path).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_file_that_is_no_idx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(b"hello"))

    with pytest.raises(DataError, match="IDX"):
        _read_idx(path)
