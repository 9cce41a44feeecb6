"""What goes into a model, whatever it is for: the interface that rows and images have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from production_server.errors import MAX_FAULTS, CeleriacError, Fault, InvalidInput
from production_server.models.table import Reading, Truth
from production_server.models.tensors import Tensors

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CheckedInput:
    """One input that a model takes, and what is known of it."""

    payload: bytes
    """What is stored, and decoded before the model runs: a row as JSON, or an image file."""
    expected: str | None = None
    outside_training_range: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """The rows of a table that a model takes, and how it was read."""

    inputs: list[CheckedInput]
    reading: Reading


@dataclass(frozen=True, slots=True)
class Group:
    """Inputs of one shape, as the graph takes them together."""

    tensors: Tensors
    places: Sequence[int]
    """Where in the batch each of them stands; never empty."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch's inputs as the graph takes them: one group, but where items differ in shape."""

    groups: Sequence[Group]
    errors: Mapping[int, CeleriacError]
    """Why the others could not be decoded, by their places."""


class Inputs(ABC):
    """One way of asking a model. Bound to a manifest; without state, so threads may share it."""

    name: ClassVar[str]
    """Of the templates that draw its forms, and its part of a model card."""
    noun: ClassVar[str]
    plural: ClassVar[str]
    """What people are told that the model takes."""
    takes_files: ClassVar[bool] = False
    """Whether an input is a file, by itself: of an upload, a bucket, or in Base64. It is an image, then."""
    at_once: ClassVar[int] = 10_000
    """How many are decoded together at the most: what is decoded of large ones takes much memory."""
    takes_tensors: ClassVar[bool] = False
    """Whether the graph's inputs go in by their names, as they are; a file then holds many of them."""

    @abstractmethod
    def check_manifest(self) -> None:
        """Whether the manifest says what these inputs need.

        Raises:
            ValueError: it does not.
        """

    @abstractmethod
    def check_json(self, inputs: Sequence[object], *, max_pixels: int, first: int = 0) -> list[CheckedInput]:
        """Inputs as JSON brings them; `first` stand before them in the same list.

        Raises:
            InvalidInput, TooLarge: none is accepted; the first 20 faults are named.
        """

    @abstractmethod
    def check_file(self, data: bytes, *, field: str, max_pixels: int) -> None:
        """Whether the model takes an uploaded file; asked only of those that take files.

        Raises:
            InvalidInput, TooLarge: it does not; `field` is named.
        """

    def check_arrays(self, data: bytes, *, field: str, max_items: int) -> list[CheckedInput]:
        """The items of an uploaded file of arrays (.npz, .npy); asked only of those that take tensors.

        Raises:
            InvalidInput, TooLarge: none is accepted; `field` is named.
        """
        raise NotImplementedError

    @abstractmethod
    def check_table(self, data: bytes, *, max_rows: int, truth: Truth) -> CheckedTable:
        """The rows of a CSV; `truth` reads the column of what is true, if there is one.

        Raises:
            InvalidInput, TooLarge: none is accepted; the first 20 faults are named by line and column.
        """

    @abstractmethod
    def decode(self, payloads: Sequence[bytes | CeleriacError], *, max_pixels: int) -> Decoded:
        """Checked inputs as the graph takes them; an error that stands for one stays its error.

        Where there is no time or no memory to decode one in, that and all behind it have `Unavailable` for an error.
        """

    def columns(self) -> list[str]:
        """The columns that an input fills in a table of results; none where a name says which one it is."""
        return []

    def cells(self, payload: bytes) -> list[object]:
        """What belongs below `columns`."""
        raise NotImplementedError


def gather(makers: Iterable[Callable[[], T]]) -> list[T]:
    """Make each; gather faults instead of stopping at the first one.

    Raises:
        InvalidInput: some could not be made; one fault is raised as it is, of more the first 20 are named.
    """
    made: list[T] = []
    first: InvalidInput | None = None
    faults: list[Fault] = []
    for make in makers:
        try:
            made.append(make())
        except InvalidInput as exc:
            first = first or exc
            faults += exc.faults
            if len(faults) >= MAX_FAULTS:
                break
    if first is None:
        return made
    if len(faults) == 1:
        raise first
    raise type(first)(f"{len(faults)} inputs cannot be used", tuple(faults), code=first.code)
