"""A manifest as people read it on the command line."""

from __future__ import annotations

from production_server.models.manifest import Manifest
from production_server.shown import visible


def lines_of(manifest: Manifest) -> list[str]:
    """What a version takes and answers, where it comes from, and how it was compared."""
    lines = [
        f"{manifest.name} version {manifest.version}: {manifest.title}",
        f"  task      {manifest.task}, by the {manifest.runner} runner",
    ]
    for kind, specs in (("takes", manifest.inputs), ("gives", manifest.outputs)):
        lines += [f"  {kind}     {spec.name} {spec.sizes} {spec.dtype}" for spec in specs]
    if manifest.features:
        lines.append(f"  features  {', '.join(each.name for each in manifest.features)}")
    if manifest.image is not None:
        image = manifest.image
        lines.append(
            f"  images    {image.width} x {image.height} {image.mode}, pixel x {image.scale:g} + {image.offset:g}"
        )
    if manifest.labels:
        shown_labels = ", ".join(manifest.labels[:10]) + (", …" if len(manifest.labels) > 10 else "")
        lines.append(f"  labels    {shown_labels}")
    if manifest.quantity is not None:
        lines.append(f"  answers   {manifest.quantity.label}, in {manifest.quantity.unit or 'no unit'}")
    lines += _origins(manifest)
    # Names may be a stranger's, and a terminal obeys what is in them.
    return [*map(visible, lines), f"  made      {manifest.created:%Y-%m-%d %H:%M} UTC"]


def _origins(manifest: Manifest) -> list[str]:
    """Where a version comes from, and how it is to that."""
    lines = []
    if manifest.source is not None:
        source = manifest.source
        pushed = f", commit {source.commit[:8]}" if source.commit else ""
        lines.append(f"  from      {source.file} ({source.producer or source.format}){pushed}")
    if manifest.quantized is not None:
        quantized = manifest.quantized
        kind = f"weights of {quantized.weight_bits} bits"
        lines += [
            f"  int8      of version {quantized.version}, {kind}, by {quantized.calibration}",
            f"  beside it {quantized.told}",
        ]
    if manifest.parity is not None:
        parity = manifest.parity
        lines.append(
            f"  parity    {parity.max_abs_difference:.1e} at most, on {parity.inputs:,} {parity.drawn} inputs"
        )
    return lines
