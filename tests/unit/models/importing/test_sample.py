"""What a sample may take: workers read it, and embedded the web process."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from production_server.errors import TooLarge
from production_server.models.importing import sample
from production_server.models.importing.sample import Images, Rows, read_sample
from production_server.models.manifest import ImagePreprocessing


def table(path: Path, *, rows: int, columns: int) -> Path:
    header = ",".join(f"f{column}" for column in range(columns))
    line = ",".join(["1.25"] * columns)
    path.write_text("\n".join([header, *[line] * rows]))
    return path


def read(path: Path, image: ImagePreprocessing | None = None) -> Rows | Images:
    found = read_sample(path, target=None, features=(), image=image)
    assert isinstance(found, Rows | Images)
    return found


def test_a_wide_table_takes_no_more_than_its_numbers_do(tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv", rows=200, columns=1000)

    tracemalloc.start()
    found = read(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(found, Rows) and found.values.shape == (200, 1000)
    assert (found.values == 1.25).all()
    assert most < 2.5 * path.stat().st_size + 10 * found.values.size


@pytest.mark.parametrize(("rows", "read_rows"), [(10, 10), (60, 50)])
def test_no_more_rows_are_read_than_have_so_many_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, read_rows: int
) -> None:
    monkeypatch.setattr(sample, "MOST_CELLS", 1000)
    found = read(table(tmp_path / "rows.csv", rows=rows, columns=20))

    assert isinstance(found, Rows) and found.values.shape == (read_rows, 20)


def test_a_large_table_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("wb") as file:
        file.truncate(sample.MOST_BYTES + 1)

    with pytest.raises(TooLarge):
        read(path)


def pictures(folder: Path, count: int) -> Path:
    for number in range(count):
        path = folder / "cat" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(path)
    return folder


def test_of_images_that_the_model_gets_large_fewer_are_taken(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "sample", 20)
    large = ImagePreprocessing(height=2000, width=2000, mode="RGB", scale=0.5, offset=1.0)
    small = large.model_copy(update={"height": 4, "width": 4})

    few, all_of_them = read(folder, large), read(folder, small)

    assert isinstance(few, Images) and isinstance(all_of_them, Images)
    assert len(few.files) == len(few.truths) == sample.MOST_NUMBERS // (3 * 2000**2)
    assert (few.files[0].name, few.files[-1].name) == ("000.png", "019.png")
    pixels = all_of_them.pixels(small)
    assert pixels.shape == (20, 4, 4, 3) and pixels.dtype == np.float32
    assert pixels[19].min() == pixels[19].max() == 10.5


def test_an_image_that_is_a_large_file_is_not_read(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "sample", 2)
    with (folder / "cat" / "huge.png").open("wb") as file:
        file.truncate(sample.MOST_IMAGE_BYTES + 1)

    with pytest.raises(TooLarge, match=r"huge\.png"):
        read(folder)
