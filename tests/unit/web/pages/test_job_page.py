from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from PIL import Image

from production_server.jobs.database import Database
from production_server.jobs.read import get_job
from production_server.jobs.records import Failure, Job, NewItem, Success
from testing.small_models import write_image_model
from tests.unit.web.pages.conftest import Page, row, yes

Get = Callable[[str], Page]
Make = Callable[..., Job]
Answer = Callable[[Job, Sequence[Success | Failure]], None]


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


def many_labels(count: int) -> list[str]:
    return [f"kind {number}" for number in range(count)]


def test_a_waiting_job_refreshes_itself_and_can_be_cancelled(get: Get, make_job: Make) -> None:
    job = make_job([row(3, 7)] * 2)

    page = get(f"/predictions/{job.id}")

    assert '<noscript><meta http-equiv="refresh"' in page.source
    assert "Waiting for a worker" in page.text
    assert "0 of 2 done" in page.text
    assert f'action="/predictions/{job.id}/cancel"' in page.source


def test_a_job_of_somebody_else_says_whose_it_is(get: Get, make_job: Make) -> None:
    """Here nobody needs a key, and the job is another client's."""
    assert "Submitted by test " in get(f"/predictions/{make_job([row(3, 7)]).id}").text


def test_a_finished_row_shows_answer_probabilities_threshold_and_values(
    get: Get, make_job: Make, answer: Answer
) -> None:
    job = make_job([row(5, 0)])
    answer(job, [yes(0, 0.25)])

    page = get(f"/predictions/{job.id}")

    assert "refresh" not in page.source
    assert "Finished" in page.text
    assert "yes 25.0 %" in page.text
    assert "no 75.0 %" in page.text
    assert "from 20.0 % on" in page.text
    assert "Index 5 steps Weight not measured" in page.text
    assert f'href="/predictions?model=table&amp;from={job.id}"' in page.source


def test_probabilities_are_drawn_as_bars_without_inline_styles(
    get: Get, make_job: Make, answer: Answer
) -> None:
    job = make_job([row(5, 7)])
    answer(job, [yes(0, 0.25)])

    page = get(f"/predictions/{job.id}")

    assert 'class="level" width="25.00"' in page.source
    assert 'class="threshold" x="19.75"' in page.source
    assert "style=" not in page.source


def test_a_value_outside_the_training_range_is_named(get: Get, make_job: Make) -> None:
    job = make_job([row(5, 700, outside=("weight",))])

    text = get(f"/predictions/{job.id}").text

    assert "Outside the range seen in training: Weight 700 kg (seen: 1 to 50)" in text


def test_a_failed_item_shows_its_code_and_message(get: Get, make_job: Make, answer: Answer) -> None:
    job = make_job([row(3, 7), row(4, 7)])
    answer(job, [yes(0, 0.15), Failure(index=1, error_code="inference_failed", error_message="it <broke>")])

    page = get(f"/predictions/{job.id}")

    assert "Finished 1 failed" in page.text
    assert "it &lt;broke&gt; <code>inference_failed</code>" in page.source


def test_cancelling_leaves_what_was_done_and_says_what_was_not_run(
    web: FlaskClient, get: Get, make_job: Make, database: Database
) -> None:
    job = make_job([row(3, 7)] * 3)

    sent = web.post(f"/predictions/{job.id}/cancel")

    assert (sent.status_code, sent.headers["Location"]) == (303, f"/predictions/{job.id}")
    assert get_job(database, job.id, whose=None).state == "cancelled"
    text = get(f"/predictions/{job.id}").text
    assert "Cancelled 3 not run" in text
    assert text.count("Not run") == 3


def test_large_jobs_come_in_pages_that_lead_to_each_other(
    get: Get, make_job: Make, database: Database
) -> None:
    job = make_job([row(3, 7)] * 250)
    first = get(f"/predictions/{job.id}")
    last = get(f"/predictions/{job.id}?after=199")

    assert first.source.count('class="result ') == 100
    assert "1 to 100 of 250" in first.text
    assert f'rel="next" href="/predictions/{job.id}?after=99"' in first.source
    assert f'href="/predictions/{job.id}?after=199">Last' in first.source
    assert last.source.count('class="result ') == 50
    assert "201 to 250 of 250" in last.text
    assert f'rel="prev" href="/predictions/{job.id}?after=99"' in last.source
    assert 'rel="next"' not in last.source


@pytest.mark.parametrize("after", ["-5", "250", "99999999999999999999", "x", "1e3"])
def test_a_page_that_is_not_there_does_no_harm(get: Get, make_job: Make, after: str) -> None:
    job = make_job([row(3, 7)] * 3)

    assert get(f"/predictions/{job.id}?after={after}").status == 200


def test_a_job_with_true_labels_is_evaluated_when_it_is_over(
    get: Get, make_job: Make, answer: Answer
) -> None:
    job = make_job([row(1, 7, expected="no"), row(2, 7, expected="yes"), row(9, 7, expected="yes")])
    assert "Compared with the true labels" not in get(f"/predictions/{job.id}").text

    answer(job, [yes(0, 0.05), yes(1, 0.1), yes(2, 0.45)])
    page = get(f"/predictions/{job.id}")

    assert "2 of 3 answers are right." in page.text
    assert "Accuracy 66.7 % Sensitivity 50.0 % Specificity 100.0 % ROC AUC 1.000" in page.text
    assert "✗ truly yes" in page.text
    assert 'class="line" d="M0.0 240.0' in page.source
    assert "0.20 the model’s 50.0 % 100.0 %" in page.text


def test_a_job_without_true_labels_has_no_evaluation(get: Get, make_job: Make, answer: Answer) -> None:
    job = make_job([row(1, 7)])
    answer(job, [yes(0, 0.05)])

    assert "Compared with" not in get(f"/predictions/{job.id}").text


def test_a_job_of_a_version_that_was_taken_away_stays_readable(
    get: Get, make_job: Make, answer: Answer
) -> None:
    job = make_job([row(1, 7, expected="no", outside=("weight",))], version="77")
    answer(job, [yes(0, 0.05)])

    page = get(f"/predictions/{job.id}")

    assert page.status == 200
    assert "no 95.0 %" in page.text
    assert "Outside the range seen in training: weight" in page.text


def test_images_have_thumbnails_that_the_server_made(
    web: FlaskClient, get: Get, make_job: Make, answer: Answer
) -> None:
    job = make_job([NewItem(png((900, 600)), "wide.png")], model="picture", version="1")
    answer(job, [Success(index=0, label="dark", score=0.7, output=(0.7, 0.3), ms=1.0)])

    path = f"/predictions/{job.id}/thumbnails/0.png"
    thumbnail = web.get(path)

    assert f'src="{path}"' in get(f"/predictions/{job.id}").source
    assert thumbnail.headers["Content-Type"] == "image/png"
    assert "immutable" in thumbnail.headers["Cache-Control"]
    with Image.open(io.BytesIO(thumbnail.data)) as image:
        assert image.size == (112, 75)


def test_there_is_no_thumbnail_of_a_row_or_of_an_item_that_is_not_there(get: Get, make_job: Make) -> None:
    job = make_job([row(3, 7)])

    assert get(f"/predictions/{job.id}/thumbnails/0.png").status == 404
    assert get(f"/predictions/{job.id}/thumbnails/1.png").status == 404


def test_a_thumbnail_index_beyond_what_a_database_can_hold_is_a_404(get: Get, make_job: Make) -> None:
    job = make_job([row(3, 7)])

    assert get(f"/predictions/{job.id}/thumbnails/{10**25}.png").status == 404


def test_of_many_labels_the_most_probable_five_are_shown(
    model_store: Path, get: Get, make_job: Make, answer: Answer
) -> None:
    labels = [f"kind {number}" for number in range(20)]
    write_image_model(model_store, name="many", labels=labels)
    job = make_job([NewItem(png((8, 8)), "a.png")], model="many", version="1")
    shares = tuple((20 - number) / 210 for number in range(20))
    answer(job, [Success(index=0, label="kind 0", score=shares[0], output=shares, ms=1.0)])

    page = get(f"/predictions/{job.id}")

    assert page.source.count('class="bar"') == 5
    assert "15 less likely labels are in the downloads." in page.text


def test_of_a_model_that_keeps_its_best_labels_these_are_shown_by_name(
    model_store: Path, get: Get, make_job: Make, answer: Answer
) -> None:
    write_image_model(model_store, name="many", labels=many_labels(1000), top=5)
    job = make_job([NewItem(png((8, 8)), "a.png")], model="many", version="1")
    kept = ((504, 0.9), (968, 0.05), (7, 0.02), (0, 0.01), (999, 0.001))
    answer(job, [Success(index=0, label="kind 504", score=0.9, output=kept, ms=1.0)])

    page = get(f"/predictions/{job.id}")

    assert page.source.count('class="bar"') == 5
    assert "kind 504 90.0 % kind 968 5.0 % kind 7 2.0 % kind 0 1.0 % kind 999 0.1 %" in page.text
    assert page.source.count('<div class="is-answer">') == 1
    assert "Of 1 000 labels the 5 best are kept." in page.text
    assert "in the downloads" not in page.text


def test_of_more_than_five_labels_that_are_kept_the_others_are_in_the_downloads(
    model_store: Path, get: Get, make_job: Make, answer: Answer
) -> None:
    write_image_model(model_store, name="many", labels=many_labels(1000), top=20)
    job = make_job([NewItem(png((8, 8)), "a.png")], model="many", version="1")
    kept = tuple((place, (20 - place) / 210) for place in range(20))
    answer(job, [Success(index=0, label="kind 0", score=20 / 210, output=kept, ms=1.0)])

    page = get(f"/predictions/{job.id}")

    assert page.source.count('class="bar"') == 5
    assert "15 less likely labels are in the downloads. Of 1 000 labels the 20 best are kept." in page.text


def test_of_many_labels_the_page_lists_mistakes_instead_of_a_matrix(
    model_store: Path, get: Get, make_job: Make, answer: Answer
) -> None:
    write_image_model(model_store, name="many", labels=[f"kind {number}" for number in range(30)])
    job = make_job([NewItem(png((8, 8)), "a.png", "kind 7")], model="many", version="1")
    output = tuple([0.1] * 30)
    answer(job, [Success(index=0, label="kind 3", score=0.1, output=output, ms=1.0)])

    page = get(f"/predictions/{job.id}")

    assert "truly kind 7, answered kind 3 1 item" in page.text
    assert "<table" not in page.source
    assert "30 labels" in get("/models/many").text


def test_an_unknown_job_is_a_page_with_404(web: FlaskClient, get: Get) -> None:
    for path in ("/predictions/01900000-0000-7000-8000-000000000000", "/predictions/nonsense"):
        assert "There is nothing here." in get(path).text
    assert web.post("/predictions/01900000-0000-7000-8000-000000000000/cancel").status_code == 404
