"""`make changed` finds the tests that a change can break."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def affected(folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "affected_tests.py", "HEAD"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A server of three modules, of which one is imported by another, with their tests."""
    files = {
        "client/__init__.py": "",
        "client/__main__.py": "",
        "production_server/__init__.py": "",
        "production_server/__main__.py": "from production_server import shop",
        "production_server/goods.py": "PRICE = 1",
        "production_server/shop.py": "def sell():\n    from production_server.goods import PRICE",
        "production_server/weather.py": "",
        "production_server/pages/__init__.py": "",
        "production_server/pages/sign.html": "",
        "testing/celeriac.py": "",
        "tests/unit/test_shop.py": "from production_server.shop import sell",
        "tests/unit/test_weather.py": "from production_server.weather import rain",
        "tests/unit/conftest.py": "",
        "tests/browser/test_all.py": "from testing.celeriac import celeriac",
        "tests/browser/test_sign.py": "import production_server.pages",
        "docker/Dockerfile": "",
        "docs/goods.md": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)
    author = ["-c", "user.name=tests", "-c", "user.email=tests"]
    subprocess.run(["git", "-C", tmp_path, *author, "commit", "--quiet", "--message=first"], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ("production_server/goods.py", ["tests/browser/test_all.py", "tests/unit/test_shop.py"]),
        ("production_server/weather.py", ["tests/unit/test_weather.py"]),
        ("production_server/pages/sign.html", ["tests/browser/test_sign.py"]),
        ("tests/unit/conftest.py", ["tests/unit/test_shop.py", "tests/unit/test_weather.py"]),
        ("tests/unit/test_shop.py", ["tests/unit/test_shop.py"]),
        ("tests/unit/test_new.py", ["tests/unit/test_new.py"]),
        (
            "docker/Dockerfile",
            ["tests/unit", "tests/contract", "tests/fuzz", "tests/integration", "tests/browser"],
        ),
        ("docs/goods.md", ["--collect-only"]),
    ],
)
def test_what_imports_a_changed_file_is_affected(checkout: Path, changed: str, found: list[str]) -> None:
    with (checkout / changed).open("a") as file:
        file.write("\n")

    assert affected(checkout) == found
