"""What clients of a model send and get, and what of it another version changes."""

from __future__ import annotations

from collections.abc import Sequence

from production_server.learning.report import Check, CheckName
from production_server.models.manifest import Manifest, TensorSpec
from production_server.models.store import ModelVersion
from production_server.shown import visible

_MOST_NAMED = 3
_LONGEST = 60


def signature_check(candidate: ModelVersion, stable: ModelVersion | None) -> Check:
    """Whether clients of what serves now may stay as they are; None: nothing serves."""
    expected = "what clients of this name send and get now"
    if stable is None:
        return Check.not_done(CheckName.SIGNATURE, expected, "it is the first version")
    differ = differences(candidate.manifest, stable.manifest)
    if differ:
        return Check.judged(
            CheckName.SIGNATURE,
            passed=False,
            expected=f"{expected} (or another name, or breaking)",
            found=f"something else than version {stable.manifest.version} has: {', '.join(differ)}",
        )
    return Check.judged(
        CheckName.SIGNATURE, passed=True, expected=expected, found="the same inputs and answers"
    )


def differences(manifest: Manifest, now: Manifest) -> list[str]:
    """What clients of the version that serves now would see change, in the manifest's words, and how."""
    return [
        f"{what} ({_few(mine, its)} instead of {_few(its, mine)})"
        for what, mine, its in (
            ("task", [manifest.task], [now.task]),
            ("features", [each.name for each in manifest.features], [each.name for each in now.features]),
            ("labels", list(manifest.labels), list(now.labels)),
            ("quantity", _quantity(manifest), _quantity(now)),
            ("inputs", [*map(_told, manifest.inputs)], [*map(_told, now.inputs)]),
            ("outputs", [*map(_told, manifest.outputs)], [*map(_told, now.outputs)]),
        )
        if mine != its
    ]


def _few(mine: Sequence[str], its: Sequence[str]) -> str:
    """Those that are not in the same place on the other side, the first of them."""
    other = [name for place, name in enumerate(mine) if place >= len(its) or its[place] != name]
    if not other:
        return "nothing more" if mine else "none"
    named = ", ".join(visible(name[:_LONGEST]) for name in other[:_MOST_NAMED])
    return named + (", …" if len(other) > _MOST_NAMED else "")


def _quantity(manifest: Manifest) -> list[str]:
    quantity = manifest.quantity
    return [] if quantity is None else [f"{quantity.name} in {quantity.unit or 'no unit'}"]


def _told(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} {spec.sizes}"
