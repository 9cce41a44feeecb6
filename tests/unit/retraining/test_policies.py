from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from production_server.errors import SettingsError
from production_server.retraining.images import Images
from production_server.retraining.policies import Begin, Policy, Standing, read_policies, why_due

EXAMPLE = Path(__file__).parents[3] / "examples" / "learning.yaml"
OWN = 'policies:\n  - model: mine\n    train: {command: [train, "{data}", "{model}"]}\n'


def read(text: str) -> dict[str, Policy]:
    return read_policies(text, source="learning.yaml")


def faults_of(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(text)
    return [str(fault) for fault in caught.value.faults]


def test_the_example_is_read() -> None:
    policies = read(EXAMPLE.read_text())
    iris, fashion, parts = policies["iris"], policies["fashion_mnist"], policies["parts"]
    assert iris.begin == Begin(after_labels=50, quiet_s=60, every_s=86_400)
    assert iris.train.command == ("python", "train_iris.py", "--data", "{data}", "--out", "{model}")
    assert (iris.then.to, iris.then.percent, iris.answer_again) == ("canary", 10, 1_000)
    assert (iris.bounds.minutes, iris.bounds.memory_bytes, iris.bounds.niceness) == (10, 2 * 1024**3, 15)
    assert fashion.train.images == Images(base=Path("/srv/photos"), epochs=40)
    assert parts.train.suffix == "keras"
    assert parts.train.describe.image is not None
    assert parts.train.describe.image.width == 64
    assert fashion.begin == Begin()


def test_what_is_not_said_publishes_nothing_and_begins_by_hand() -> None:
    policy = read(OWN)["mine"]
    assert policy.then.to == "nothing"
    standing = Standing(new_labels=100_000, since_run_s=1e9, since_label_s=1e9)
    assert why_due(policy.begin, standing) is None


@pytest.mark.parametrize(
    ("train", "fault"),
    [
        ("{}", "either a command or images"),
        ('{command: [t, "{data}", "{model}"], images: {}}', "either a command or images"),
        ("{images: {}, suffix: keras}", "describe and suffix for a command only"),
        ("{images: {base: photos}}", "a path from the root on"),
        ("{images: {epochs: 0}}", "images.epochs"),
    ],
)
def test_one_of_two_ways_trains(train: str, fault: str) -> None:
    (found,) = faults_of(f"policies:\n  - model: mine\n    train: {train}\n")

    assert fault in found and "learning.yaml:3" in found


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ("    wehn: now\n", "learning.yaml:4: policies[0].wehn"),
        ("    begin: {after_labels: 0}\n", "learning.yaml:4: policies[0].begin.after_labels"),
        ("    begin: {every_s: nan}\n", "learning.yaml:4: policies[0].begin.every_s"),
        ("    bounds: {niceness: -5}\n", "learning.yaml:4: policies[0].bounds.niceness"),
        ("    bounds: {minutes: inf}\n", "learning.yaml:4: policies[0].bounds.minutes"),
        ("    then: {to: production}\n", "learning.yaml:4: policies[0].then.to"),
        ("    then: {to: canary}\n", "learning.yaml:4: policies[0].then"),
        ("    then: {to: stable, percent: 5}\n", "learning.yaml:4: policies[0].then"),
        ("    answer_again: -1\n", "learning.yaml:4: policies[0].answer_again"),
        ('  - model: mine\n    train: {command: [t, "{data}", "{model}"]}\n', "learning.yaml:2: policies"),
    ],
)
def test_a_fault_names_its_line_and_field(more: str, field: str) -> None:
    (fault,) = faults_of(OWN + more)
    assert fault.startswith(f"{field}: expected"), fault


@pytest.mark.parametrize(
    "train",
    [
        "{}",
        '{images: {}, command: [train, "{data}", "{model}"]}',
        "{command: []}",
        '{command: [train, "{data}"]}',
        '{command: ["{data}", "{model}"]}',
        '{command: ["", "{data}", "{model}"]}',
        '{command: "train {data} {model}"}',
        '{command: [train, "{data}", "{model}", "\\0"]}',
    ],
)
def test_what_trains_is_one_thing_that_can_be_run(train: str) -> None:
    (fault,) = faults_of(f"policies:\n  - model: mine\n    train: {train}\n")
    assert fault.startswith("learning.yaml:3: policies[0].train"), fault


@pytest.mark.parametrize("text", ["", "[]", "policies: []", "policies: {a: b}", "policies: [", "42"])
def test_a_file_without_policies_is_refused(text: str) -> None:
    assert faults_of(text)


@pytest.mark.parametrize(
    ("new_labels", "since_run_s", "since_label_s", "why"),
    [
        (0, 1e9, 1e9, None),
        (9, 10, 1e9, None),
        (10, 10, 29, None),
        (10, 10, 30, "labels"),
        (19, 10, 0, None),
        (20, 10, 0, "labels"),
        (10, 10, -5, "labels"),
        (1, 99, 0, None),
        (1, 100, 0, "time"),
        (1, -5, 0, "time"),
    ],
)
def test_a_run_is_due(new_labels: int, since_run_s: float, since_label_s: float, why: str | None) -> None:
    begin = Begin.model_construct(after_labels=10, every_s=100.0, quiet_s=30.0)
    standing = Standing(new_labels=new_labels, since_run_s=since_run_s, since_label_s=since_label_s)
    assert why_due(begin, standing) == why


def test_steady_labelling_puts_a_run_off_for_so_long_only() -> None:
    begin = Begin(after_labels=50, quiet_s=60)
    stands = (Standing(new_labels=n, since_run_s=n, since_label_s=1) for n in itertools.count())
    assert next(each.new_labels for each in stands if why_due(begin, each)) == 100
