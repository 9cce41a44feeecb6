from __future__ import annotations

import subprocess
from pathlib import Path

from production_server.models.importing.source import source_of


def test_the_digest_of_a_folder_is_that_of_what_sha256sum_prints_of_its_files(tmp_path: Path) -> None:
    for name in ("saved_model.pb", "variables/b", "variables/a", "assets/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    told = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"

    source = source_of("savedmodel", tmp_path, None, producer="")

    printed = subprocess.run(
        told, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert source.sha256 == printed.split()[0]
    assert source.size_bytes == 14 + 11 + 11 + 8


def test_weights_count_though_they_are_called_as_their_architecture(tmp_path: Path) -> None:
    for folder, content in (("a", "architecture"), ("b", "weights"), ("c", "others")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model").write_text(content)
    file = tmp_path / "a" / "model"

    first = source_of("keras_json", file, tmp_path / "b" / "model", producer="")
    second = source_of("keras_json", file, tmp_path / "c" / "model", producer="")

    assert (first.format, first.file, first.size_bytes) == ("keras_json", "model", 12 + 7)
    assert first.sha256 != second.sha256
