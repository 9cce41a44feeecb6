from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.errors import SettingsError
from production_server.sources.object_events import ObjectEvent
from production_server.sources.rules import Rule, read_rules
from production_server.storage.locations import BUCKET_RULE

RULES = """\
rules:
  - bucket: photos
    prefix: incoming/
    suffix: .jpg
    metadata: {camera: roof}
    model: mobilenet
    version: "1"
  - bucket: scans   # any object
    model: fashion_mnist
"""
UNKNOWN_KEY = "expected no field of this name, got one"
STORE = {"mobilenet": {"1", "2"}, "fashion_mnist": {"1"}}
EVENT = ObjectEvent(
    bucket="photos",
    key="incoming/cat.jpg",
    etag="abc",
    version_id=None,
    size_bytes=9,
    is_created=True,
    event_name="ObjectCreated:Put",
    dialect="ceph",
    metadata={"camera": "roof", "x-amz-date": "20261120T092125Z"},
)


def is_known(model: str, version: str | None) -> bool:
    return model in STORE and (version is None or version in STORE[model])


def read(text: str) -> tuple[Rule, ...]:
    return read_rules(text, source="events.yaml", is_known=is_known)


def faults_of(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(text)
    return [str(fault) for fault in caught.value.faults]


def event(**changes: Any) -> ObjectEvent:
    return dataclasses.replace(EVENT, **changes)


def test_rules_are_read_in_their_order() -> None:
    assert read(RULES) == (
        Rule(
            bucket="photos",
            prefix="incoming/",
            suffix=(".jpg",),
            metadata={"camera": "roof"},
            model="mobilenet",
            version="1",
        ),
        Rule(bucket="scans", model="fashion_mnist"),
    )


def test_an_object_goes_where_all_of_a_rule_holds() -> None:
    (rule, _) = read(RULES)

    assert rule.matches(EVENT)
    assert rule.matches(event(key="incoming/deep/CAT.JPG"))
    assert not rule.matches(event(bucket="photos2"))
    assert not rule.matches(event(key="outgoing/cat.jpg"))
    assert not rule.matches(event(key="Incoming/cat.jpg"))
    assert not rule.matches(event(key="incoming/cat.jpeg"))
    assert not rule.matches(event(metadata={"camera": "door"}))
    assert not rule.matches(event(metadata={}))


def test_a_rule_of_a_bucket_alone_takes_all_that_is_in_it() -> None:
    (_, rule) = read(RULES)

    assert rule.matches(event(bucket="scans", key="any thing", metadata={}))
    assert not rule.matches(EVENT)


def test_several_suffixes_may_be_given_in_any_case() -> None:
    (rule,) = read("rules: [{bucket: photos, suffix: [.JPG, .png], model: mobilenet}]")

    assert rule.matches(event(key="a.jpg"))
    assert rule.matches(event(key="a.PNG"))
    assert not rule.matches(event(key="a.gif"))


def test_values_are_texts_as_they_were_written() -> None:
    (rule,) = read(
        "rules: [{bucket: 2026.10, prefix: no, suffix: 0x1F, metadata: {on: yes, X-Amz-Meta-B: 1.10}, "
        "model: mobilenet, version: 2}]"
    )

    assert rule == Rule(
        bucket="2026.10",
        prefix="no",
        suffix=("0x1f",),
        metadata={"on": "yes", "b": "1.10"},
        model="mobilenet",
        version="2",
    )


def test_all_faults_are_named_by_line_and_path() -> None:
    text = """\
rules:
  - bucket: photos
    model: mobilnet
  - bucket: ph
    prefx: incoming/
    suffix: []
    model: mobilenet
    version: 7
  - prefix:
    metadata: [camera, roof]
    suffix: [.jpg, {}]

  - photos
  - bucket: photos
    model: {name: mobilenet}
    metadata: {camera: , Camera: roof}
  - bucket: photos
    model: mobilenet
    metadata: {camera: roof, X-Amz-Meta-Camera: door}
limit: 7
"""

    assert faults_of(text) == [
        'events.yaml:3: rules[0].model: expected a model that the store has, got "mobilnet"',
        f'events.yaml:4: rules[1].bucket: expected {BUCKET_RULE}, got "ph"',
        'events.yaml:8: rules[1].version: expected a version of mobilenet that the store has, got "7"',
        "events.yaml:6: rules[1].suffix: expected a list of at least one, got a list of 0",
        f"events.yaml:5: rules[1].prefx: {UNKNOWN_KEY}",
        "events.yaml:9: rules[2].bucket: expected a value, got nothing",
        "events.yaml:9: rules[2].model: expected a value, got nothing",
        'events.yaml:9: rules[2].prefix: expected at least 1 character, got ""',
        "events.yaml:11: rules[2].suffix[1]: expected a text, got an object",
        "events.yaml:10: rules[2].metadata: expected a mapping, got a list of 2",
        'events.yaml:13: rules[3]: expected a mapping, got "photos"',
        "events.yaml:15: rules[4].model: expected a text, got an object",
        'events.yaml:16: rules[4].metadata.camera: expected at least 1 character, got ""',
        "events.yaml:19: rules[5].metadata: expected names that differ in more than case, got an object",
        f"events.yaml:20: limit: {UNKNOWN_KEY}",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "rules:\n- {bucket: photos, suffix: .jpg, model: mobilenet, suffix: .png}",
        "rules:\n- {bucket: photos, model: mobilenet, metadata: {suffix: a, suffix: b}}",
    ],
)
def test_a_name_that_comes_twice_is_refused(text: str) -> None:
    assert faults_of(text) == ["events.yaml:2: expected YAML, got something else: suffix comes twice"]


def test_an_alias_means_what_it_stands_for() -> None:
    (rule,) = read("rules: [{bucket: photos, model: &name mobilenet, metadata: {by: *name}}]")

    assert rule == Rule(bucket="photos", model="mobilenet", metadata={"by": "mobilenet"})


@pytest.mark.parametrize("tag", ["!!python/object:os.system", "!!int", "!mine"])
def test_a_tag_makes_nothing_of_a_text_and_is_refused(tag: str) -> None:
    text = f"rules:\n  - bucket: {tag} photos\n    model: mobilenet"

    assert faults_of(text) == [f"events.yaml:2: expected YAML, got something else: the tag {tag}"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "events.yaml:1: the file: expected a mapping, got nothing"),
        ("# nothing yet\n", "events.yaml:1: the file: expected a mapping, got nothing"),
        ("{}", "events.yaml:1: rules: expected a value, got nothing"),
        ("rules:\n", 'events.yaml:1: rules: expected a list, got ""'),
        ("\nrules: []\n", "events.yaml:2: rules: expected a list of at least one, got a list of 0"),
        ("rules: {bucket: a}", "events.yaml:1: rules: expected a list, got an object"),
        ("- bucket: photos", "events.yaml:1: the file: expected a mapping, got a list of 1"),
        ("text", 'events.yaml:1: the file: expected a mapping, got "text"'),
    ],
)
def test_a_file_without_rules_is_refused(text: str, fault: str) -> None:
    assert faults_of(text) == [fault]


def test_a_key_that_is_no_name_is_refused() -> None:
    assert faults_of("? [a]\n: b\n" + RULES) == [
        "events.yaml:1: expected YAML, got something else: found unhashable key"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("rules:\n\t- bucket: photos", "events.yaml:2: expected YAML, got something else: found character "),
        ("rules: [", "events.yaml:1: expected YAML, got something else: "),
        ("rules: ]", "events.yaml:1: expected YAML, got something else: "),
        ("a: 1\n---\na: 1\n", "events.yaml:2: expected YAML, got something else: but found another document"),
        ("rules: \0", "events.yaml: expected YAML, got something else: unacceptable character"),
        ("rules: \ud800", "events.yaml: expected YAML, got something else: unacceptable character"),
        ('rules: "\\UFFFFFFFF"', "events.yaml: expected YAML, got something else: "),
        ("a: &a [*a]", "events.yaml:1: expected YAML, got something else: found unconstructable recursive"),
        ("a:\n  suffix: *.jpg", "events.yaml:2: expected YAML, got something else: expected alphabetic"),
        ("[" * 100_000, "events.yaml: expected YAML, got something else: too many lists and mappings in each"),
        ("- " * 100_000, "events.yaml: expected YAML, got something else: too many lists and mappings in each"),
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_what_is_not_yaml_is_refused(text: str, fault: str) -> None:
    (found,) = faults_of(text)

    assert found.startswith(fault)


def test_values_written_to_deceive_are_shown_on_one_line() -> None:
    fault = faults_of('rules: [{bucket: photos, model: "a\\nb\\ud800\\e", "\\u202ex": 1}]')

    assert fault == [
        'events.yaml:1: rules[0].model: expected a text, got "a\\nb\\ud800\\u001b"',
        f"events.yaml:1: rules[0].\\u202ex: {UNKNOWN_KEY}",
    ]


@given(text=st.text(st.sampled_from("rules: []{}-\n\t\"'&*!?#|>%@`\\uU0x\0é,")) | st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        read(text)


def test_a_rule_names_whose_the_answers_are() -> None:
    (hers, nobodys) = read(
        "rules:\n- {bucket: photos, model: mobilenet, client: anna@lab}\n- {bucket: photos, model: mobilenet}"
    )

    assert (hers.client, nobodys.client) == ("anna@lab", "anonymous")
    (fault,) = faults_of("rules:\n- {bucket: photos, model: mobilenet, client: anna and bert}")
    assert fault.startswith("events.yaml:2: rules[0].client: expected a client's name: 1 to 64 letters")
