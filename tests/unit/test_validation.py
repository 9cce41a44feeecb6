from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from production_server.errors import Fault
from production_server.validation import faults_of


class Part(BaseModel):
    name: str


class Whole(BaseModel):
    part: Part
    count: int = Field(0, ge=0, strict=True)
    names: list[str] = []

    model_config = ConfigDict(extra="forbid")


def faults(value: object, *, within: str = "") -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(value)
    return [str(fault) for fault in faults_of(caught.value, whole="body", within=within)]


def test_faults_are_named_by_path_in_words_of_json() -> None:
    assert faults({"part": {"name": 7}, "count": "1", "names": ["a", None], "choise": 1}) == [
        "part.name: expected a text, got 7",
        'count: expected a whole number, got "1"',
        "names[1]: expected a text, got nothing",
        "choise: expected no field of this name, got one",
    ]
    assert faults({"names": {}, "part": [], "count": -1}) == [
        "part: expected an object, got a list of 0",
        "count: expected greater than or equal to 0, got -1",
        "names: expected a list, got an object",
    ]
    assert faults({}) == ["part: expected a value, got nothing"]


def test_what_is_wrong_as_a_whole_is_called_as_the_caller_says() -> None:
    assert faults([]) == ["body: expected an object, got a list of 0"]
    assert faults([], within="a.b") == ["a.b: expected an object, got a list of 0"]
    assert faults({}, within="a[1]") == ["a[1].part: expected a value, got nothing"]


def test_a_name_written_to_deceive_stays_on_one_line() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate({"part": {"name": ""}, "a\nb\u202e": 1})

    assert list(faults_of(caught.value, whole="body")) == [
        Fault("a\\nb\\u202e", "no field of this name", "one")
    ]
