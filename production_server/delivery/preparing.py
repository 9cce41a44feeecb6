"""Makes ready what a push brings of one model: read, held against what serves, and kept to be published as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from production_server.access.records import Actor
from production_server.delivery.descriptions import DESCRIPTION_FILE, description_beside, read_description
from production_server.delivery.layouts import (
    SAMPLES,
    foreign_file_in,
    is_version,
    read_version,
    sample_in,
    unused_in,
)
from production_server.delivery.records import Delivered, import_id
from production_server.jobs import channels as rows
from production_server.jobs import rollouts
from production_server.learning.imports import (
    Destination,
    examine_draft,
    gate_of,
    import_through_gate,
    stable_of,
    version_in,
)
from production_server.learning.promotion import measured_metrics
from production_server.learning.published import published_by
from production_server.learning.report import (
    REPORT_FILE,
    CheckName,
    Report,
    Verdict,
    read_report,
    refuse_failed,
    write_report,
)
from production_server.models.channels import STABLE
from production_server.models.importing.described import Described
from production_server.models.importing.opened import ONNX_FILE
from production_server.models.importing.process import Asked
from production_server.models.importing.sample import sample_folder
from production_server.models.manifest import MANIFEST_FILE, Manifest, Source, digest_of, read_manifest
from production_server.models.store_folders import told
from production_server.serving.promoting import Wanted
from production_server.serving.serving import Serving
from production_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Preparing:
    """Makes models of one commit ready. `say` gets what is done, in lines."""

    settings: Settings
    serving: Serving
    commit: str
    say: Callable[[str], None]

    def prepare(self, model: str, folder: Path, into: Path) -> Delivered:
        """Have a model's files, as they were pushed, become a version in `into`, which publishing only has to number.

        Raises:
            InvalidInput: the files are no version, or none can be made of them. GateClosed: it may not serve.
            SettingsError: model.yaml is no YAML. CeleriacError: as `import_through_gate`.
        """
        with self.serving.database.read() as connection:
            event = latest_change(rows.list_events(connection, model, channel_name=STABLE, limit=1))
            last = next(iter(rollouts.list_rollouts(connection, model, limit=1)), None)
        # A bucket that does not answer takes no version: that is said now, and not when main has moved.
        before = published_by(import_id(self.commit, model), model, self.serving.registry, self.settings)
        if before is not None:
            path = self._again(before.manifest)
        else:
            make = self._of_version if is_version(folder) else self._of_file
            path = make(model, folder, into)
        return Delivered(path=path, event=event, rollout=None if last is None else last.id)

    def _again(self, before: Manifest) -> str:
        """What the same commit has become already, by a push to a repository that is gone; it has passed the gate."""
        self.say(f"This commit has been pushed before: it is version {before.version}")
        wanted = Wanted(model=before.name, version=before.version, dry_run=True)
        self.serving.promote(wanted, by=Actor(""))
        return f"{before.name}/" if before.source is None else before.source.file

    def _of_file(self, model: str, folder: Path, into: Path) -> str:
        found = foreign_file_in(folder, model)
        path = f"{model}/{found.file.relative_to(folder).as_posix()}"
        asked = Asked(
            file=found.file,
            name=model,
            described=self._described(model, folder, found.file),
            weights=found.weights,
            sample=sample_in(folder),
            import_id=import_id(self.commit, model),
        )
        above = self.serving.overview.highest_told(model)
        admitted = import_through_gate(
            asked,
            Destination(settings=self.settings, registry=self.serving.registry, above=above),
            self.say,
            allowed=(),
            is_dry_run=True,
            report_to=self._say_report,
            keep=lambda draft: _copy(draft, into),
        )
        for note in admitted.made.notes:
            self.say(note)
        used = (found.file, found.weights, asked.sample, description_beside(found.file))
        for name in unused_in(folder, [each for each in used if each is not None]):
            self.say(f"Not read: {name} (what is: {DESCRIPTION_FILE}, {', '.join(SAMPLES)})")
        manifest = read_manifest(into)
        self._seal(manifest, manifest.source or _source_of(into), path, into)
        return path

    def _described(self, model: str, folder: Path, file: Path) -> Described:
        beside = description_beside(file)
        if beside is None or not beside.is_relative_to(folder):
            return Described()
        return read_description(beside, {}, name=f"{model}/{beside.name}", within=folder)

    def _of_version(self, model: str, folder: Path, into: Path) -> str:
        self.say(f"Reading {MANIFEST_FILE}, and the digests of its files")
        manifest = read_version(folder, model)
        with told(into):
            for name in manifest.files:
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, into / name)
            shutil.copyfile(folder / MANIFEST_FILE, into / MANIFEST_FILE)
        with sample_folder(sample_in(folder), into.parent / f".{model}") as sample:
            report = self._examined(manifest, into, sample)
        self._say_report(report)
        refuse_failed(report)
        write_report(report, into)
        path = f"{model}/{ONNX_FILE}"
        self._seal(manifest, manifest.source or _source_of(into), path, into)
        return path

    def _examined(self, manifest: Manifest, into: Path, sample: Path | None) -> Report:
        """The gate's report; where there is no sample, how good it is is what the training has measured."""
        own = read_report(into) if REPORT_FILE in manifest.files else None
        registry = self.serving.registry
        gate = gate_of(self.settings, self.say)
        report = examine_draft(gate, into, registry, sample=sample, target=manifest.target)
        check, stable = report.check(CheckName.METRICS), stable_of(registry, manifest.name)
        if own is None or own.measured is None or check is None or check.verdict != Verdict.NOT_DONE:
            return report
        if report.measured is None:
            report = report.model_copy(update={"measured": own.measured})
        if stable is None:
            return report
        candidate = version_in(into)
        by_reports = measured_metrics(candidate, own, stable, margin=self.settings.gate_margin)
        checks = tuple(by_reports.unless(()) if each is check else each for each in report.checks)
        return report.model_copy(update={"checks": checks})

    def _seal(self, manifest: Manifest, source: Source, path: str, into: Path) -> None:
        """Write down where it comes from, and the digests of all that is to be published."""
        told_of = {"file": path, "commit": self.commit, "import_id": import_id(self.commit, manifest.name)}
        files = {
            each.relative_to(into).as_posix(): digest_of(each)
            for each in sorted(into.rglob("*"))
            if each.is_file() and each.name != MANIFEST_FILE
        }
        sealed = manifest.model_copy(update={"source": source.model_copy(update=told_of), "files": files})
        with told(into):
            (into / MANIFEST_FILE).write_text(sealed.to_json() + "\n", encoding="utf-8")

    def _say_report(self, report: Report) -> None:
        for line in report.lines():
            self.say(line)


def latest_change(events: list[rows.Event]) -> int:
    """The id of the latest of these changes; 0: there is none."""
    return max((each.id for each in events), default=0)


def _source_of(folder: Path) -> Source:
    return Source(file=ONNX_FILE, format="onnx", **digest_of(folder / ONNX_FILE).model_dump())


def _copy(draft: Path, into: Path) -> None:
    with told(into):
        shutil.copytree(draft, into, ignore=shutil.ignore_patterns(".*"))
