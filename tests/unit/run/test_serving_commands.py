"""`models` on the command line: which versions there are, and saying which of them serve."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from production_server.access.audit import Wanted, every_line
from production_server.errors import Conflict, GateClosed, NotFound, VersionRetired
from production_server.jobs.database import now
from production_server.jobs.engines import FOREIGN_LOCK_S
from production_server.jobs.tables import retired_version
from production_server.jobs.workers import beat, leave
from production_server.learning.report import Measured
from production_server.models.manifest import Metric
from production_server.run import opened_serving as opened
from production_server.run.model_commands import model_commands
from production_server.run.opened_serving import opened_serving, user_acting
from production_server.serving.serving import SETTLED_S
from production_server.settings import Settings, read_settings
from testing.fake_workers import has_loaded
from testing.foreign_graphs import FOREIGN_MODELS
from testing.small_models import write_table_model
from tests.unit.learning.test_promotion import with_report

WHO = user_acting().client


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three versions of `table`, of which the second one was measured."""
    measured = {
        "data": "ten rows",
        "method": "",
        "values": {"roc_auc": {"mean": 0.8, "std": 0.01}, "brier": {"mean": 0.2}},
    }
    for version, changes in (("1", {}), ("2", {"metrics": measured}), ("3", {"labels": ["no", "maybe"]})):
        write_table_model(tmp_path / "state" / "models", version=version, **changes)
    return read_settings({"STATE_DIR": str(tmp_path / "state")})


def run(settings: Settings, *arguments: str | Path) -> Result:
    return CliRunner().invoke(model_commands, list(map(str, arguments)), obj=settings, catch_exceptions=False)


def said(settings: Settings, *arguments: str | Path) -> str:
    done = run(settings, *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def told(settings: Settings, *arguments: str) -> Any:
    return json.loads(said(settings, *arguments, "--json"))


def of_table(settings: Settings) -> dict[str, Any]:
    (found,) = (each for each in told(settings, "list") if each["name"] == "table")
    return {name: found[name] for name in ("versions", "retired", "channels")}


def test_promoting_says_who_it_was_and_why(settings: Settings) -> None:
    answer = told(settings, "promote", "table", "1", "--why", "for a look", "--breaking")

    (event,) = told(settings, "history", "table")
    with opened_serving(settings) as serving:
        (line,) = every_line(serving.database, Wanted())
    assert (answer["version"], answer["set_by"]) == ("1", WHO)
    assert (event["before"], event["after"], event["client"], event["reason"]) == (
        "3",
        "1",
        WHO,
        "for a look",
    )
    assert (line.act, line.by.client) == ("channel.set", WHO)
    assert of_table(settings)["channels"] == {"stable": "1"}


def test_promoting_only_if_nobody_was_first(settings: Settings) -> None:
    said(settings, "promote", "table", "1", "--channel", "qa", "--if-now", "none")

    with pytest.raises(Conflict, match="qa of 'table' names version 1 now, not none"):
        run(settings, "promote", "table", "2", "--channel", "qa", "--if-now", "none")
    said(settings, "promote", "table", "2", "--channel", "qa", "--if-now", "1")

    assert of_table(settings)["channels"] == {"stable": "3", "qa": "2"}


def test_a_version_goes_from_serving_to_deleted_and_each_step_is_told(settings: Settings) -> None:
    with pytest.raises(Conflict):
        run(settings, "retire", "table", "3")
    said(settings, "promote", "table", "2", "--breaking")
    said(settings, "retire", "table", "3", "--why", "wrong labels")
    said(settings, "retire", "table", "3", "--undo")
    said(settings, "retire", "table", "3")
    with pytest.raises(VersionRetired):
        run(settings, "promote", "table", "3")
    assert of_table(settings)["retired"] == ["3"]
    assert "–, it is retired" in said(settings, "show", "table", "--version", "3")
    with opened_serving(settings) as serving, serving.database.write() as connection:
        connection.execute(update(retired_version).values(retired_at=now() - SETTLED_S - 1))

    said(settings, "delete", "table", "3", "--yes")

    assert of_table(settings) == {"versions": ["1", "2"], "retired": [], "channels": {"stable": "2"}}
    lines = said(settings, "history", "table").splitlines()
    assert [line.split("  ")[1] for line in lines[1:]] == [
        "version 3 deleted", "version 3 retired", "version 3 restored", "version 3 retired",
        "stable 3 → 2, despite signature",
    ]  # fmt: skip


def test_promoting_waits_for_workers_and_says_for_which(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(settings, "promote", "table", "1", "--breaking")
    with opened_serving(settings) as serving:
        beat(serving.database, "w1", warm=["table/1"], items_done=0)

    def load(_: float) -> None:
        with opened_serving(settings) as serving:
            has_loaded(serving.database, "w1", "table/1", "table/2")

    monkeypatch.setattr(time, "sleep", load)

    done = run(settings, "promote", "table", "2")

    assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "Waiting until it is loaded in w1 ...")
    assert done.stdout.endswith("table stable is version 2, within two seconds everywhere.\n")


def test_a_canary_is_told_with_what_is_known_of_it(settings: Settings) -> None:
    said(settings, "promote", "table", "1", "--breaking")
    with pytest.raises(NotFound, match="no canary of 'table' has a share"):
        run(settings, "canary", "table")
    said(settings, "promote", "table", "2", "--channel", "canary", "--percent", "2.5")

    answer = said(settings, "canary", "table")

    assert answer == (
        "Version 2 of table has 2.5 % of the work: not enough is known yet.\n  nothing was answered yet\n"
    )
    assert told(settings, "canary", "table")["verdict"] == "unknown"
    assert "canary – → 2, 2.5 %" in said(settings, "history", "table")


def test_going_back_says_to_what(settings: Settings) -> None:
    for version in ("1", "2"):
        said(settings, "promote", "table", version, "--breaking")

    answer = said(settings, "rollback", "table", "--why", "nonsense")

    assert answer == "table stable is version 1 again, within two seconds everywhere.\n"
    assert told(settings, "rollback", "table", "--if-now", "1")["version"] == "3"
    assert "stable 2 → 1, back" in said(settings, "history", "table")
    with pytest.raises(Conflict, match="named no other version before"):
        run(settings, "rollback", "table")


def test_files_are_deleted_only_after_a_yes(settings: Settings) -> None:
    said(settings, "retire", "table", "1")

    refused = CliRunner().invoke(model_commands, ["delete", "table", "1"], obj=settings, input="n\n")

    assert refused.exit_code == 1
    assert of_table(settings)["versions"] == ["1", "2", "3"]


def test_nobody_is_asked_about_what_cannot_be_deleted(settings: Settings) -> None:
    for code in ("version_not_retired", "version_in_use"):
        refused = CliRunner().invoke(model_commands, ["delete", "table", "1"], obj=settings, input="y\n")

        assert isinstance(refused.exception, Conflict) and refused.exception.code == code
        assert "Delete them?" not in refused.output
        run(settings, "retire", "table", "1")


def test_a_command_waits_for_others_that_write(settings: Settings) -> None:
    """Longer than a client is made to wait: the first wait of SQLite is over by then."""
    said(settings, "list")
    file = settings.state_dir / "celeriac.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        ends = threading.Timer(FOREIGN_LOCK_S + 0.5, other.execute, ["COMMIT"])
        ends.start()

        answer = told(settings, "promote", "table", "3")

        ends.join()
    assert answer["version"] == "3"


def test_a_channel_is_taken_away(settings: Settings) -> None:
    said(settings, "promote", "table", "1", "--channel", "qa")

    said(settings, "unset", "table", "qa", "--why", "done")

    assert of_table(settings)["channels"] == {"stable": "3"}


def test_two_versions_stand_side_by_side(settings: Settings) -> None:
    said(settings, "promote", "table", "1", "--channel", "qa")

    found = told(settings, "compare", "table", "qa", "2")
    lines = said(settings, "compare", "table", "2", "3").splitlines()

    assert (found["a"], found["b"]) == ("1", "2")
    assert found["rows"]["roc_auc"] == {"a": None, "b": {"mean": 0.8, "std": 0.01}}
    assert "labels" not in found["rows"]
    assert lines[0].split() == ["version", "2", "version", "3", "difference"]
    assert [line.split() for line in lines if line.startswith(("roc_auc", "labels"))] == [
        ["roc_auc", "0.8", "±", "0.01", "–"],
        ["labels", "no,", "yes", "no,", "maybe"],
    ]


def test_where_nobody_has_said_anything_the_history_says_what_counts(settings: Settings) -> None:
    assert said(settings, "history", "table").strip().endswith("the newest version is stable.")
    with pytest.raises(NotFound):
        run(settings, "history", "nothing")


def test_an_import_says_whether_its_version_serves(settings: Settings) -> None:
    file = FOREIGN_MODELS / "iris_pipeline.onnx"
    first = said(settings, "import", file, "--name", "mine").splitlines()[-1]
    with opened_serving(settings) as serving:
        has_loaded(serving.database, "w1", "mine/1")
    coming = said(settings, "import", file, "--name", "mine").splitlines()[-1]
    with opened_serving(settings) as serving:
        leave(serving.database, "w1")
    said(settings, "promote", "mine", "1")

    second = said(settings, "import", file, "--name", "mine").splitlines()[-1]
    third = told(settings, "import", str(file), "--name", "mine")

    assert first.startswith("mine version 1 serves as stable now: ")
    assert coming.startswith("mine version 2 serves as stable as soon as every worker has loaded it: ")
    assert second.startswith("mine version 3 is there and not serving, stable is another one: promote it")
    assert (third["version"], third["serves"]) == ("4", False)


def test_an_import_gets_no_number_that_the_history_names(settings: Settings) -> None:
    file = FOREIGN_MODELS / "iris_pipeline.onnx"
    for _ in range(2):
        said(settings, "import", file, "--name", "mine")
    said(settings, "promote", "mine", "1")
    said(settings, "retire", "mine", "2")
    folder = settings.model_stores[-1] / "mine" / "2"
    folder.rename(folder.with_name(".put-aside-by-hand"))

    assert told(settings, "import", str(file), "--name", "mine")["version"] == "3"


def test_promoting_runs_both_where_the_report_is_none_of_now(settings: Settings) -> None:
    tried = said(settings, "promote", "table", "2", "--breaking", "--dry-run")
    with pytest.raises(GateClosed, match="something else than version 3 has: labels"):
        run(settings, "promote", "table", "2")
    answer = told(settings, "promote", "table", "2", "--breaking")

    checks = {check["name"]: check["verdict"] for check in answer["report"]["checks"]}
    assert checks["signature"] == "allowed"
    assert (checks["loads"], checks["latency"], checks["memory"]) == ("passed",) * 3
    assert "  signature  allowed" in tried
    assert tried.endswith("Nothing was changed: --dry-run. table version 2 could be stable.\n")
    assert [path.name for path in settings.model_stores[-1].joinpath("table", "2").iterdir()] == [
        *sorted(["manifest.json", "model.onnx"])
    ]


def test_what_samples_said_is_compared_only_on_the_same_one(settings: Settings, tmp_path: Path) -> None:
    folder = settings.model_stores[-1] / "table"
    for version, mean, sample in (("1", 0.1, "a"), ("2", 0.3, "a"), ("3", 0.4, "b")):
        kept = Measured(
            data="9 rows of the sample", sha256=sample * 64, items=9, values={"error_rate": Metric(mean=mean)}
        )
        with_report(folder / version, None, kept=kept)

    same, other = (said(settings, "compare", "table", "1", version) for version in ("2", "3"))

    (line,) = (each for each in same.splitlines() if each.startswith("error_rate"))
    assert line.split() == ["error_rate_on_the_sample", "0.1", "0.3", "+0.2"]
    assert "error_rate_on_the_sample  0.1" in other and "on another sample" in other
    assert "How good it is on 9 rows of the sample: error rate 0.1" in said(
        settings, "show", "table", "--version", "1"
    )


def test_a_machine_without_keras_does_not_keep_out_what_workers_run_by_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(settings, "promote", "table", "3")
    write_table_model(settings.model_stores[-1], version="4", labels=["no", "maybe"], runner="keras")
    monkeypatch.setattr(opened, "find_spec", lambda _name: None)

    answer = told(settings, "promote", "table", "4")

    checks = {check["name"]: check["verdict"] for check in answer["report"]["checks"]}
    assert (answer["version"], checks["signature"], checks["loads"]) == ("4", "passed", "not done")
