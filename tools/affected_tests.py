#!/usr/bin/env python3
"""affected_tests.py SINCE: the test files that what has changed since a commit can break, one a line.

What imports a changed module, however indirectly, is affected; a test that boots the service reaches all of it. A
change of what all tests rest on, or of something that nobody imports, such as a Dockerfile, affects them all.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp

PACKAGES = ("production_server", "client")
SUITES = ("unit", "contract", "fuzz", "integration", "browser")
RUNS = {
    "testing.celeriac": ["production_server.__main__", "client.__main__"],
    "testing.web_service": ["client.__main__"],
}
"""What runs in a process of its own, which no import shows."""
HARMLESS = (".md", ".svg", ".png")


def changed_files(since: str) -> list[Path]:
    """What differs from the common ancestor, committed or not, and what git does not know yet."""
    base = git("merge-base", since, "HEAD")
    return [
        Path(line)
        for line in {*git("diff", "--name-only", base[0]), *git("ls-files", "--others", "--exclude-standard")}
    ]


def git(*arguments: str) -> list[str]:
    """The lines that a git command answers."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.splitlines()


def module_of(path: Path) -> str:
    """A file's name as Python knows it."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def changed_modules(path: Path) -> list[str]:
    """The module that a file is; of a template or a picture, those beside whose folder it lies."""
    if path.suffix == ".py":
        return [module_of(path)]
    folder = next(each for each in path.parents if list(each.glob("*.py")))
    return [module_of(each) for each in folder.glob("*.py")]


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules that a file of the tests names in its imports, or runs."""
    found = set(RUNS.get(module_of(path), []))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return frozenset(found)


def reached(path: Path) -> set[str]:
    """All that a test imports, through other files of the tests and the conftest files above it too."""
    waiting = [path, *(each / "conftest.py" for each in path.parents if (each / "conftest.py").exists())]
    found: set[str] = set()
    while waiting:
        module = module_of(here := waiting.pop())
        for name in {module, *imports(here)} - found:
            found.add(name)
            other = Path(*name.split(".")).with_suffix(".py")
            if name.startswith(("tests.", "testing.")) and other.exists():
                waiting.append(other)
    return found


def main(since: str) -> None:
    """Print the files, or the folders of all of them."""
    changed = [path for path in changed_files(since) if path.suffix not in HARMLESS]
    if any(path.parts[0] not in (*PACKAGES, "testing", "tests") for path in changed):
        print("tests/" + "\ntests/".join(SUITES))
        return
    graph = grimp.build_graph(*PACKAGES)
    affected = {name for path in changed for name in changed_modules(path)}
    for name in [each for each in affected if each in graph.modules]:
        affected |= graph.find_downstream_modules(name)
    tests = sorted(path for suite in SUITES for path in Path("tests", suite).rglob("test_*.py"))
    print("\n".join(str(path) for path in tests if affected & reached(path)) or "--collect-only")


if __name__ == "__main__":
    main(sys.argv[1])
