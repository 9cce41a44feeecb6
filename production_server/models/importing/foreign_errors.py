"""What large libraries print, warn of and raise while they read a file, kept to a sentence."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import warnings
from collections.abc import Callable, Iterator

MOST_REASON = 300
"""Characters of what a library says."""
_BOLD = re.compile(r"\x1b\[\d*m")
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@contextlib.contextmanager
def refusing(error: Callable[[Exception], Exception]) -> Iterator[None]:
    """Have Keras, TensorFlow, tf2onnx or ONNX work on a file in silence; what they raise becomes an `error` of ours.

    A machine that is too small is no fault of the file.

    Raises:
        MemoryError, OSError: there is no more memory, or no room on the disk.
    """
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    # Their errors share no base class below Exception.
    except Exception as exc:
        if is_out_of_room(exc):
            raise
        if type(exc).__name__ == "ResourceExhaustedError":  # TensorFlow's, of tensors
            raise MemoryError(reason_of(exc)) from exc
        raise error(exc) from exc


def is_out_of_room(exc: Exception) -> bool:
    """Whether memory or a disk was too small."""
    return isinstance(exc, MemoryError) or (isinstance(exc, OSError) and exc.errno in _NO_ROOM)


def reason_of(exc: Exception) -> str:
    """What a library says, on one line and not too long.

    Keras puts whole configurations in front of its reason, and arguments behind it, and prints in bold.
    """
    reason = str(exc).rsplit("Exception encountered:", 1)[-1].split("Arguments received by", 1)[0]
    return " ".join(_BOLD.sub("", reason).split())[:MOST_REASON]
