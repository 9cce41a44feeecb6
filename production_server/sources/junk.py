"""Files that programs leave beside pictures, which nobody means when he says "everything"."""

from __future__ import annotations

_NAMES = frozenset({".ds_store", "desktop.ini", "thumbs.db"})
_FOLDERS = frozenset({"__macosx", ".ipynb_checkpoints"})
_FORK = "._"
"""What macOS keeps beside each file on a file system that is not its own."""
_WILDCARDS = ("*", "?", "[")


def is_junk(key: str, *, pattern: str = "*") -> bool:
    """Whether an object is such a file, or lies in such a folder; not one that `pattern` names.

    A pattern whose last part begins with a wildcard means no such file; one that does not name a folder, nothing in it.
    """
    *folders, name = key.lower().split("/")
    wanted = pattern.lower()
    if any(folder in _FOLDERS and folder not in wanted for folder in folders):
        return True
    is_named = not wanted.rpartition("/")[2].startswith(_WILDCARDS)
    return (name in _NAMES or name.startswith(_FORK)) and not is_named
