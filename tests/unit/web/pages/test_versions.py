"""/models/<name>/versions: versions side by side, and forms that change what serves, for those who may."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from production_server.access.keys import create_key
from production_server.access.records import NewKey
from production_server.access.scopes import USUAL, Scope
from production_server.jobs.channels import ChannelRow
from production_server.jobs.database import now
from production_server.jobs.tables import retired_version
from production_server.jobs.workers import beat
from production_server.learning.report import Measured
from production_server.models.manifest import Metric
from production_server.serving.canaries import SERVICE
from production_server.serving.changes import changing, take_away
from production_server.serving.serving import SETTLED_S
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts
from production_server.web.pages import versions
from testing.processes import wait_until
from testing.small_models import write_table_model
from tests.unit.access.test_keys import SOMEBODY
from tests.unit.learning.test_promotion import with_report
from tests.unit.web.pages.conftest import Page, row, to_page, yes
from tests.unit.web.pages.test_keys import logged_in

Get = Callable[[str], Page]
PATH = "/models/table/versions"
PAGE = {"Sec-Fetch-Site": "same-origin"}


def send(web: Any, act: str, **fields: str) -> Page:
    return to_page(web.post(f"{PATH}/{act}", data=fields, headers=PAGE))


def shown(page: Page) -> dict[str, str]:
    """What the form would send along: what the page has shown of each channel."""
    return dict(re.findall(r'name="(expected\.[^"]+)" value="([^"]*)"', page.source))


def stable(parts: WebParts) -> ChannelRow:
    return parts.overview.channel("table", "stable")


def columns(page: Page) -> list[str]:
    return re.findall(r">Version (\d+)</a>", page.source.partition("<tbody>")[0])


def test_the_versions_stand_side_by_side_and_what_serves_is_marked(
    get: Get, parts: WebParts, make_job: Any, answer: Any
) -> None:
    answer(make_job([row(1, 7)] * 3), [yes(index, 0.5) for index in range(3)])
    beat(parts.database, "w1", warm=["table/2"], items_done=3, failing={"table/1": "it needs <TensorFlow>"})

    page = get(PATH)

    assert columns(page) == ["2", "1"]
    assert "stable is version 2 the newest, since nobody has promoted one" in page.text
    assert "1 ms of 3 items" in page.text
    assert "Does not load in w1: it needs <TensorFlow>" in page.text
    assert "Accuracy 50.0 %" in page.text
    assert "/models/table/2/plots/roc.svg" in page.source
    assert "Nobody has changed anything." in page.text


def test_promoting_changes_what_serves_and_the_page_tells_of_it(web: Any, get: Get, parts: WebParts) -> None:
    page = send(web, "promote", version="1", channel="stable", reason="better <b>", **shown(get(PATH)))

    assert page.status == 303
    assert (stable(parts).version, stable(parts).set_by) == ("1", "anonymous")
    page = get(PATH)
    assert "stable 2 → 1" in page.text and "better <b>" in page.text


def test_who_has_an_old_page_open_overwrites_nothing(web: Any, get: Get, parts: WebParts) -> None:
    old = shown(get(PATH))
    send(web, "promote", version="1", channel="stable", **old)
    send(web, "promote", version="2", channel="qa", **old)

    moved = send(web, "promote", version="2", channel="stable", reason="mine", **old)
    new_to_it = send(web, "promote", version="1", channel="qa", **old)

    assert (moved.status, new_to_it.status) == (409, 409)
    assert "Stable of 'table' names version 1 now, not 2: look again" in moved.text
    assert moved.value("promote-reason") == "mine"
    assert parts.registry.channels("table") == {"stable": "1", "qa": "2"}


def test_a_version_is_retired_restored_and_deleted(
    web: Any, get: Get, parts: WebParts, model_store: Path
) -> None:
    assert send(web, "retire", version="1", reason="old").status == 303
    assert "Retire a version" not in get(PATH).text
    assert columns(get(PATH)) == ["2"]
    assert columns(get(PATH + "?with=1")) == ["2", "1"]
    assert send(web, "restore", version="1").status == 303
    send(web, "retire", version="1")
    assert send(web, "delete", version="1").status == 409
    with parts.database.write() as connection:
        connection.execute(update(retired_version).values(retired_at=now() - SETTLED_S - 1))

    assert send(web, "delete", version="1").status == 303

    assert not (model_store / "table" / "1").exists()
    assert "Version 1 deleted" in get(PATH).text


def test_a_channel_is_taken_away(web: Any, get: Get) -> None:
    assert "Take a channel away" not in get(PATH).text
    send(web, "promote", version="1", channel="qa")

    assert send(web, "unset", channel="qa").status == 303

    assert "qa taken away; it was 1" in get(PATH).text


@pytest.mark.parametrize(
    ("act", "fields", "status"),
    [("promote", {"version": "9"}, 404), ("promote", {"version": "1", "channel": "A b"}, 400),
     ("retire", {"version": "2"}, 409), ("retire", {}, 404), ("unset", {"channel": "stable"}, 400),
     ("delete", {"version": "1"}, 409), ("restore", {"version": "x"}, 404)],
)  # fmt: skip
def test_what_cannot_be_done_is_said_on_the_page(
    web: Any, act: str, fields: dict[str, str], status: int
) -> None:
    page = send(web, act, **fields)

    assert page.status == status
    assert 'role="alert"' in page.source and "<h1>Versions</h1>" in page.source


def test_a_page_of_a_model_that_there_is_not_is_not_found(web: Any, get: Get) -> None:
    assert get("/models/nothing/versions").status == 404
    assert (
        to_page(web.post("/models/nothing/versions/retire", data={"version": "1"}, headers=PAGE)).status
        == 404
    )


@pytest.mark.parametrize("query", ["?before=x", "?before=-1", "?before=99999999999999", "?with=%00"])
def test_what_the_query_cannot_mean_is_passed_over(get: Get, query: str) -> None:
    assert get(PATH + query).status == 200


def test_other_sites_pages_change_nothing(web: Any, parts: WebParts) -> None:
    refused = web.post(f"{PATH}/promote", data={"version": "1"}, headers={"Sec-Fetch-Site": "cross-site"})

    assert refused.status_code == 403
    assert stable(parts).set_by is None


def test_who_may_not_change_it_sees_no_forms(parts: WebParts) -> None:
    def key(*scopes: Scope) -> str:
        wanted = NewKey(name="anna", client="anna", scopes=frozenset(scopes))
        made = create_key(parts.database, wanted, by=SOMEBODY)[1]
        parts.keys.look_again()
        return made

    app = create_app(parts)
    reader, keeper = logged_in(app, key(*USUAL)), logged_in(app, key(*USUAL, Scope.MODELS))

    assert "Change what serves" not in reader.get(PATH, headers=PAGE).text
    assert reader.post(f"{PATH}/promote", data={"version": "1"}, headers=PAGE).status_code == 403
    assert "Change what serves" in keeper.get(PATH, headers=PAGE).text
    assert (
        keeper.post(
            f"{PATH}/promote", data={"version": "1", "expected.stable": "2"}, headers=PAGE
        ).status_code
        == 303
    )
    assert stable(parts).set_by == "anna"


def test_of_many_versions_those_that_serve_and_the_newest_are_shown(
    web: Any, get: Get, model_store: Path
) -> None:
    for version in range(3, 12):
        write_table_model(model_store, version=str(version))
    send(web, "promote", version="1", channel="qa")

    page = get(PATH)

    assert columns(page) == ["11", "10", "9", "8", "7", "1"]
    assert "Also there: version 6 , version 5" in page.text


def test_a_long_history_goes_on_behind_a_link(web: Any, get: Get, parts: WebParts, monkeypatch: Any) -> None:
    monkeypatch.setattr("production_server.web.pages.versions.EVENTS", 2)
    for version in ("1", "2", "1"):
        send(web, "promote", version=version, **shown(get(PATH)))

    first = get(PATH)
    earlier = re.search(r'href="([^"]*before=\d+)#', first.source)

    assert earlier is not None
    assert "stable 2 → 1" in get(earlier[1]).text.partition("History")[2]
    assert "Earlier" not in get(earlier[1]).text


def test_the_card_of_a_retired_version_says_so_and_offers_no_prediction(web: Any, get: Get) -> None:
    send(web, "retire", version="1")

    card = get("/models/table?version=1")

    assert (card.status, "retired" in card.text, "Predict" in card.text.partition("Model card")[2]) == (
        200, True, False,
    )  # fmt: skip


def test_going_back_is_offered_once_there_is_somewhere_to_go(web: Any, get: Get, parts: WebParts) -> None:
    before = get(PATH)
    send(web, "promote", version="1", channel="stable", **shown(before))
    page = get(PATH)

    done = send(web, "rollback", channel="stable", reason="nonsense", **shown(page))

    assert "Go back to the version before" not in before.text
    assert "stable: back to version 2" in page.text
    assert (done.status, stable(parts).version) == (303, "2")
    assert "stable 1 → 2, back" in get(PATH).text


def test_what_workers_are_loading_is_shown_and_what_they_cannot_load_is_told(
    web: Any, get: Get, parts: WebParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "PATIENCE_S", 0.0)
    send(web, "promote", version="2", channel="stable", **shown(get(PATH)))
    beat(parts.database, "w1", warm=["table/2"], items_done=0)

    send(web, "promote", version="1", channel="stable", **shown(get(PATH)))
    loading = get(PATH).text
    beat(parts.database, "w1", warm=["table/2"], items_done=0, failing={"table/1": "it is <damaged>"})
    parts.serving.rollouts.move_on()

    assert "stable is to be version 1 as soon as it is loaded in w1" in loading
    assert "stable stays 2: version 1 was refused" in get(PATH).text
    assert "w1 cannot load it: it is <damaged>" in get(PATH).text
    refused = send(web, "promote", version="1", channel="stable", **shown(get(PATH)))
    assert (refused.status, stable(parts).version) == (409, "2")


def test_how_the_canary_does_is_shown(web: Any, get: Get) -> None:
    send(web, "promote", version="2", channel="stable", **shown(get(PATH)))
    wrong = send(web, "promote", version="1", channel="canary", percent="a lot", **shown(get(PATH)))
    done = send(web, "promote", version="1", channel="canary", percent="5", **shown(get(PATH)))

    page = get(PATH)

    assert done.status == 303
    assert wrong.status == 400 and "a number above 0, at most 95" in wrong.text
    assert "canary is version 1 , for 5 % of the work that asks for no version" in page.text
    assert "Not enough is known yet : nothing was answered yet." in page.text


def test_what_was_taken_back_as_a_canary_is_not_shown_as_if_nothing_was_wrong(
    web: Any, get: Get, parts: WebParts, model_store: Path
) -> None:
    write_table_model(model_store, version="3")
    send(web, "promote", version="2", channel="stable", **shown(get(PATH)))
    send(web, "promote", version="3", channel="canary", percent="5", **shown(get(PATH)))
    with changing(parts.database, "table", SERVICE) as (connection, notes, _):
        take_away(
            connection,
            notes,
            model="table",
            channel="canary",
            before="3",
            client=SERVICE.client,
            reason="40 of 200 calls failed",
            goes_back=True,
        )

    assert "Nothing but that it was taken back as a canary: 40 of 200 calls failed" in get(PATH).text


def test_what_stands_in_the_way_is_shown_and_takes_a_tick(
    web: Any, get: Get, parts: WebParts, model_store: Path
) -> None:
    send(web, "promote", version="2", channel="stable", **shown(get(PATH)))
    write_table_model(model_store, version="3", labels=["no", "<b>"])
    wait_until(lambda: columns(get(PATH))[0] == "3", what="the store was looked at")
    page = get(PATH)
    old = shown(page)

    refused = send(web, "promote", version="3", channel="stable", **old)
    stayed = stable(parts).version
    done = send(web, "promote", version="3", channel="stable", despite="signature", **old)

    assert "In the way of stable" in page.text
    assert "signature: something else than version 2 has: labels (<b> instead of yes)" in page.text
    assert "It came by no gate." in page.text
    assert 'name="despite" value="signature"' in page.source
    assert 'name="despite" value="latency"' not in page.source
    assert (refused.status, stayed, done.status) == (409, "2", 303)
    assert "signature: expected what clients of this name send and get now" in refused.text
    assert "stable 2 → 3, despite signature" in get(PATH).text
    assert "It has been stable." in get(PATH).text


def test_what_a_sample_said_is_on_the_card_and_side_by_side(get: Get, model_store: Path) -> None:
    for version, mean, sample in (("1", 0.1, "a"), ("2", 0.25, "b")):
        values = {"error_rate": Metric(mean=mean, std=0.0123)}
        kept = Measured(data=f"{version}0 rows of the sample", sha256=sample * 64, items=9, values=values)
        with_report(model_store / "table" / version, None, kept=kept)

    card, beside = get("/models/table?version=2"), get(PATH)

    assert "Error rate 25.0 % ± 1.2 %" in card.text
    assert "Measured on 20 rows of the sample when it came in" in card.text and "b" * 64 in card.text
    assert "Error rate on the sample 25.0 % ± 1.2 % 10.0 % ± 1.2 %" in beside.text
    assert "20 rows of the sample, SHA-256 bbbbbbbbbbbb… 10 rows of the sample" in beside.text
