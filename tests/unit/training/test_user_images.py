from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from production_server.models.images import read_pixels
from production_server.training.errors import DataError
from production_server.training.image_files import find_photos
from production_server.training.user_images import prepare
from testing.image_files import GREY, RGB_ALPHA, chunk, exif_of, png, with_chunks
from tests.unit.training.conftest import Transcript, paint

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_per_class_gives_the_labels_and_a_stratified_split(
    photos: Path, transcript: Transcript
) -> None:
    description, split = prepare(photos, "toys", size=None, seed=1, reporter=transcript)

    assert description.labels == ("blue", "red")
    assert [len(part) for part in (split.train, split.validation, split.test)] == [16, 4, 4]
    for part in (split.train, split.validation, split.test):
        assert np.bincount(part.classes).tolist() == [len(part) // 2] * 2


def test_size_and_channels_come_from_the_images(photos: Path, transcript: Transcript) -> None:
    _, split = prepare(photos, "toys", size=None, seed=1, reporter=transcript)

    assert split.train.images.shape == (16, 32, 32, 3)


def test_the_size_can_be_given(photos: Path, transcript: Transcript) -> None:
    _, split = prepare(photos, "toys", size=20, seed=1, reporter=transcript)

    assert split.train.images.shape == (16, 20, 20, 3)


def test_large_images_are_scaled_down(tmp_path: Path, transcript: Transcript) -> None:
    for index in range(5):
        paint(tmp_path / "a" / f"{index}.png", (200, 0, 0), size=(400, 300))
        paint(tmp_path / "b" / f"{index}.jpg", (0, 200, 0), size=(400, 300))

    _, split = prepare(tmp_path, "toys", size=None, seed=1, reporter=transcript)

    assert split.train.images.shape[1:] == (96, 96, 3)


def test_grey_images_have_one_channel_even_if_they_are_stored_in_colour(
    tmp_path: Path, transcript: Transcript
) -> None:
    for index in range(5):
        for label, grey in (("dark", 30), ("light", 220)):
            path = tmp_path / label / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (30, 30), (grey, grey, grey + index % 2)).save(path)

    _, split = prepare(tmp_path, "toys", size=None, seed=1, reporter=transcript)

    assert split.train.images.shape[1:] == (30, 30, 1)


def test_a_csv_names_paths_relative_to_itself(photos: Path, transcript: Transcript) -> None:
    rows = [f"{path.relative_to(photos)},is {path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    (photos / "labels.csv").write_text("\ufeffPath,Label\r\n" + "\r\n".join(rows), encoding="utf-8")

    description, split = prepare(photos / "labels.csv", "toys", size=None, seed=1, reporter=transcript)

    assert description.labels == ("is blue", "is red")
    assert len(split.train) == 16


def test_one_bad_file_is_reported_and_left_out(photos: Path, transcript: Transcript) -> None:
    (photos / "red" / "broken.png").write_bytes((photos / "red" / "00.png").read_bytes()[:200])
    (photos / "blue" / "letter.jpg").write_text("dear reader", encoding="utf-8")

    _, split = prepare(photos, "toys", size=None, seed=1, reporter=transcript)

    assert len(split.train) == 16
    assert (
        "broken.png: expected a whole image file, got a PNG that is cut off within its IDAT chunk"
        in transcript.text
    )
    assert (
        "letter.jpg: expected an image file (PNG, JPEG, GIF, WebP, BMP or PNM), got text" in transcript.text
    )
    assert "2 of 26 files could not be read and were left out" in transcript.text


@pytest.mark.parametrize("side", [8_000, 20_000])
def test_an_image_of_too_many_pixels_is_left_out_before_it_is_decoded(
    photos: Path, transcript: Transcript, side: int
) -> None:
    Image.new("1", (side, side)).save(photos / "red" / "huge.png")

    prepare(photos, "toys", size=None, seed=1, reporter=transcript)

    assert f"huge.png: expected at most 50000000 pixels, got {side} × {side}" in transcript.text


def test_a_path_of_the_csv_without_a_file_is_reported_and_left_out(
    photos: Path, transcript: Transcript
) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    (photos / "labels.csv").write_text("\n".join(["path,label", "gone.png,red", *rows]), encoding="utf-8")

    prepare(photos / "labels.csv", "toys", size=None, seed=1, reporter=transcript)

    assert "gone.png: no such file" in transcript.text
    assert "1 of 25 files" in transcript.text


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_in_a_csv_is_reported_and_left_out(
    kind: str, photos: Path, transcript: Transcript
) -> None:
    path = photos / "odd.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    rows = [f"{each},{each.parent.name}" for each in sorted(photos.glob("*/*.png"))]
    (photos / "labels.csv").write_text("\n".join(["path,label", "odd.png,red", *rows]), encoding="utf-8")

    prepare(photos / "labels.csv", "toys", size=None, seed=1, reporter=transcript)

    assert f"left out: {path}: not a file" in transcript.text


def test_an_image_of_two_classes_in_a_csv_is_refused_with_both_lines(
    photos: Path, transcript: Transcript
) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    again = "red/../blue/00.png,red"
    (photos / "labels.csv").write_text("\n".join(["path,label", *rows, again]), encoding="utf-8")

    with pytest.raises(DataError, match=r"lines 2 and 26: .*00\.png: expected one class, got blue and red"):
        prepare(photos / "labels.csv", "toys", size=None, seed=1, reporter=transcript)


def test_an_image_that_a_csv_names_twice_counts_once_and_is_said(
    photos: Path, transcript: Transcript
) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    again = ["red/../blue/00.png,blue", "./blue/00.png,blue"]
    (photos / "labels.csv").write_text("\n".join(["path,label", *rows, *again]), encoding="utf-8")

    _, split = prepare(photos / "labels.csv", "toys", size=None, seed=1, reporter=transcript)

    assert sum(map(len, (split.train, split.validation, split.test))) == 24
    assert "counted once: 2 images that" in transcript.text
    assert "names again (lines 26, 27)" in transcript.text


def test_a_class_with_one_image_is_refused_by_name(photos: Path, transcript: Transcript) -> None:
    paint(photos / "green" / "only.png", (0, 200, 0))

    with pytest.raises(DataError, match="each class needs at least 5 readable images: green has 1"):
        prepare(photos, "toys", size=None, seed=1, reporter=transcript)


def test_too_few_images_per_class_are_refused_by_name(photos: Path, transcript: Transcript) -> None:
    for index in range(4, 12):
        (photos / "red" / f"{index:02}.png").unlink()

    with pytest.raises(DataError, match="red has 4"):
        prepare(photos, "toys", size=None, seed=1, reporter=transcript)


def test_a_class_without_a_readable_image_is_refused_by_name(photos: Path, transcript: Transcript) -> None:
    for path in (photos / "red").iterdir():
        path.write_bytes(b"")

    with pytest.raises(DataError, match="red has 0"):
        prepare(photos, "toys", size=None, seed=1, reporter=transcript)


def test_one_class_alone_is_refused(photos: Path, transcript: Transcript) -> None:
    rows = "\n".join(f"{path},one" for path in photos.rglob("*.png"))
    (photos / "labels.csv").write_text(f"path,label\n{rows}", encoding="utf-8")

    with pytest.raises(DataError, match="at least two classes are needed; found one"):
        prepare(photos / "labels.csv", "toys", size=None, seed=1, reporter=transcript)


def test_an_empty_folder_is_refused(tmp_path: Path, transcript: Transcript) -> None:
    with pytest.raises(DataError, match="expected one folder of images per class"):
        prepare(tmp_path, "toys", size=None, seed=1, reporter=transcript)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("name,label\na.png,red\n", "has no column 'path'"),
        ("path,colour\na.png,red\n", "has no column 'label'"),
        ("path,label\na.png,red\n,red\n", "line 3: a path is missing"),
        ("path,label\na.png\n", "line 2: a label is missing"),
        ("path,label\n", "expected a row per image"),
        ("", "expected a row per image"),
    ],
)
def test_a_csv_that_cannot_be_understood_is_refused(
    content: str, fault: str, tmp_path: Path, transcript: Transcript
) -> None:
    (tmp_path / "labels.csv").write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=fault):
        prepare(tmp_path / "labels.csv", "toys", size=None, seed=1, reporter=transcript)


def test_a_csv_in_another_encoding_is_refused(tmp_path: Path, transcript: Transcript) -> None:
    (tmp_path / "labels.csv").write_bytes("path,label\nä.png,grün\n".encode("latin-1"))

    with pytest.raises(DataError, match="UTF-8"):
        prepare(tmp_path / "labels.csv", "toys", size=None, seed=1, reporter=transcript)


def write_odd_files(folder: Path, level: int) -> None:
    """Files that libraries decode differently: cut-outs, 16 bits, turned ones, a transparent colour, another white."""
    folder.mkdir(parents=True)
    grey = np.random.default_rng(level).integers(0, 200, (40, 44)) + level
    alpha = np.where(np.arange(44) < 22, 0, 255)[None, :].repeat(40, axis=0)
    cut_out = np.dstack([grey, grey // 2, grey // 3, alpha])
    size = b"%d %d" % grey.shape[::-1]
    (folder / "cutout.png").write_bytes(png(8, RGB_ALPHA, cut_out))
    (folder / "sixteen.png").write_bytes(png(16, GREY, grey * 257))
    (folder / "sixteen.pgm").write_bytes(b"P5 " + size + b" 65535\n" + (grey * 257).astype(">u2").tobytes())
    (folder / "twelve.pgm").write_bytes(b"P5 " + size + b" 4095\n" + (grey * 16).astype(">u2").tobytes())
    (folder / "turned.png").write_bytes(with_chunks(png(8, GREY, grey), chunk(b"eXIf", exif_of(6))))
    (folder / "clear.png").write_bytes(png(8, GREY, grey, before=chunk(b"tRNS", b"\0\x63")))
    Image.fromarray(np.repeat(grey.astype(np.uint8), 9, axis=0).repeat(9, axis=1)).save(folder / "large.jpg")


def test_what_is_trained_on_is_what_a_server_makes_of_the_same_files(
    tmp_path: Path, transcript: Transcript
) -> None:
    for label, level in (("dark", 0), ("light", 50)):
        write_odd_files(tmp_path / label, level)

    description, split = prepare(tmp_path, "toys", size=None, seed=1, reporter=transcript)

    seen = 0
    for part in (split.train, split.validation, split.test):
        for path, pixels in zip(part.paths, part.images, strict=True):
            served = read_pixels(path.read_bytes(), description.image, max_pixels=10**6)
            assert (pixels == served).all(), path.name
            seen += 1
    assert seen == 14
    assert description.image.mode == "RGB"


def test_a_cut_out_is_trained_on_with_white_behind_it(tmp_path: Path, transcript: Transcript) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for index in range(5):
            cut_out = Image.new("RGBA", (30, 30), (0, 0, 0, 0))
            cut_out.paste((90, 90, 90, 255), (10, 10, 20, 20))
            cut_out.save(tmp_path / label / f"{index}.png")

    _, split = prepare(tmp_path, "toys", size=None, seed=1, reporter=transcript)

    assert split.train.images.shape[1:] == (30, 30, 1)
    assert (split.train.images[:, 0, 0] == 255).all()
    assert (split.train.images[:, 15, 15] == 90).all()


def test_what_systems_and_editors_leave_beside_images_is_passed_over(
    photos: Path, transcript: Transcript
) -> None:
    whole = (photos / "red" / "00.png").read_bytes()
    left = [
        "__MACOSX/red/._00.png", "__MACOSX/00.png", ".ipynb_checkpoints/00-checkpoint.png", "red/._00.png",
        "red/.ipynb_checkpoints/00-checkpoint.png", "red/__MACOSX/00.png", "blue/@eaDir/00.png/thumb.jpg",
        "red/Thumbs.db", "red/.DS_Store", "red/desktop.ini",
    ]  # fmt: skip
    for name in left:
        path = photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0\5\x16\7 Mac OS X" if path.name.startswith("._") else whole)

    description, split = prepare(photos, "toys", size=None, seed=1, reporter=transcript)

    assert description.labels == ("blue", "red")
    assert sum(map(len, (split.train, split.validation, split.test))) == 24
    assert "left out" not in transcript.text
    assert "passed over" not in transcript.text
    assert len(find_photos(photos)) == 24


def test_files_that_are_no_images_by_their_names_are_counted_and_the_first_are_named(
    photos: Path, transcript: Transcript
) -> None:
    whole = (photos / "red" / "00.png").read_bytes()
    for number in range(6):
        (photos / "red" / f"scan{number}").write_bytes(whole)
    for name in ("photo.JPE", "photo.dib", ".DS_Store", "Thumbs.db"):
        (photos / "red" / name).write_bytes(whole)

    _, split = prepare(photos, "toys", size=None, seed=1, reporter=transcript)

    assert sum(map(len, (split.train, split.validation, split.test))) == 26
    named = ", ".join(f"red/scan{number}" for number in range(5))
    assert f"passed over as no images by their names: 6 files ({named}, …)" in transcript.text


def test_a_format_that_no_server_takes_is_reported_by_its_name(photos: Path, transcript: Transcript) -> None:
    Image.new("RGB", (40, 40)).save(photos / "red" / "scan.tif")
    (photos / "red" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(30))

    prepare(photos, "toys", size=None, seed=1, reporter=transcript)

    assert (
        "scan.tif: expected an image file (PNG, JPEG, GIF, WebP, BMP or PNM), got a TIFF" in transcript.text
    )
    assert "phone.heic: expected an image file" in transcript.text and "got a HEIC" in transcript.text


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_csv_of_labels_may_have_semicolons_or_tabs(
    delimiter: str, photos: Path, transcript: Transcript
) -> None:
    rows = [
        delimiter.join([str(path.relative_to(photos)), f"{path.parent.name}, a colour", ""])
        for path in sorted(photos.rglob("*.png"))
    ]
    header = delimiter.join(["path", "label", "note"])
    (photos / "labels.csv").write_text("\ufeff" + "\r\n".join([header, *rows]), encoding="utf-8")

    description, _ = prepare(photos / "labels.csv", "toys", size=None, seed=1, reporter=transcript)

    assert description.labels == ("blue, a colour", "red, a colour")
