"""Whether an HDF5 file holds numbers of its own and nothing else: looked at before Keras reads any of it.

HDF5 can refer to other files (external links, external storage, virtual datasets), load programs that decompress, and
declare more numbers than there is memory in a few bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from production_server.errors import InvalidInput, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_BYTES = 2 * 2**30
"""Of all the numbers in a file: as many as an ONNX file can hold."""
MOST_OBJECTS = 100_000
_ATTRIBUTE_BYTES = 16 * 2**20
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
"""What h5py itself can undo; the library would look for a program for any other."""


def check_hdf5(path: Path, *, field: str = "file") -> None:
    """Whether Keras may read the weights in `path`, which `field` names in errors.

    Raises:
        InvalidInput: it is damaged, or refers to what is not in it; the field names the place, too.
        TooLarge: it declares more than `MOST_BYTES` of numbers.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _check_size(_sizes(file, field), field)
    # h5py raises these, depending on where a file is damaged.
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as exc:
        raise damaged(exc, field=field) from exc


def damaged(exc: Exception, *, field: str = "file") -> InvalidInput:
    """The error for a file of which h5py cannot read a part."""
    return InvalidInput.at(field, "a whole HDF5 file", f"one that is cut off or damaged ({_line(exc)})")


def _line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:120]


def _check_size(sizes: Iterator[int], field: str) -> None:
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if count > MOST_OBJECTS:
            raise TooLarge.at(field, f"at most {MOST_OBJECTS:,} groups and arrays", "more of them")
        if total > MOST_BYTES:
            raise TooLarge.at(field, f"at most {MOST_BYTES // 2**30} GiB of numbers", "more of them")


def _sizes(file: Any, field: str) -> Iterator[int]:
    """The bytes of each array and attribute, of each group 0; looks at each object once, whatever leads to it."""
    waiting, seen = [file["/"]], set()
    while waiting:
        group = waiting.pop()
        for name in map(_as_text, group):
            _check_link(group, name, field)
            found = group[name]
            address = _address(found)
            if address in seen:
                continue
            seen.add(address)
            yield from _attribute_sizes(found, field)
            if hasattr(found, "shape"):
                _check_array(found, field)
                yield found.nbytes
            elif hasattr(found, "keys"):
                waiting.append(found)
                yield 0
        if group.name == "/":
            yield from _attribute_sizes(group, field)


def _address(found: Any) -> int:
    import h5py

    return int(h5py.h5o.get_info(found.id).addr)


def _check_link(group: Any, name: str, field: str) -> None:
    import h5py

    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise _elsewhere(_place(field, f"{group.name}/{name}"), "a link to another file")
    if isinstance(link, h5py.SoftLink):
        raise _elsewhere(_place(field, f"{group.name}/{name}"), "a link to another place")


def _check_array(found: Any, field: str) -> None:
    if found.is_virtual:
        raise _elsewhere(_place(field, found.name), "an array that is made of other files")
    if found.external:
        raise _elsewhere(_place(field, found.name), "an array that lies in another file")
    if found.dtype.hasobject:
        raise _elsewhere(_place(field, found.name), "texts, each of which may be the same gigabyte")
    plist = found.id.get_create_plist()
    for index in range(plist.get_nfilters()):
        code = plist.get_filter(index)[0]
        if code not in _FILTERS:
            raise InvalidInput.at(
                _place(field, found.name),
                f"no compression but {', '.join(_FILTERS.values())}",
                f"the filter {code}",
            )


def _attribute_sizes(found: Any, field: str) -> Iterator[int]:
    import h5py

    for name in found.attrs:
        attribute = h5py.h5a.open(found.id, _as_text(name).encode())
        size = attribute.get_space().get_simple_extent_npoints() * attribute.get_type().get_size()
        if size > _ATTRIBUTE_BYTES:
            raise TooLarge.at(
                _place(field, found.name),
                f"attributes of at most {_ATTRIBUTE_BYTES // 2**20} MiB",
                "a larger one",
            )
        yield size


def _as_text(name: str | bytes) -> str:
    """A name of a file; h5py gives bytes, or characters that nobody can write, for what is no UTF-8."""
    if isinstance(name, bytes) or not name.isprintable():
        raise ValueError("a name that is no text")
    return name


def _elsewhere(place: str, what: str) -> InvalidInput:
    return InvalidInput.at(place, "weights that the file itself holds", what)


def _place(field: str, name: str) -> str:
    return field + name.replace("//", "/").replace("/", ".")
