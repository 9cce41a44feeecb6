"""Kinds of stores whose libraries are not part of the serving set, so that who does not use them need not have them."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec

PACKAGES = {"gs": "gcsfs", "az": "adlfs"}


def what_lacks(schemes: Collection[str]) -> str:
    """What must be installed before stores of these kinds can be read, and how; empty: nothing."""
    wanted = [scheme for scheme in PACKAGES if scheme in schemes]
    missing = [f"{PACKAGES[scheme]} for {scheme}://" for scheme in wanted if not find_spec(PACKAGES[scheme])]
    if not missing:
        return ""
    files = " and ".join(f"requirements/serving-{scheme}.txt" for scheme in wanted)
    return f"{' and '.join(missing)} (make run EXTRAS={'-'.join(wanted)}; elsewhere {files})"
