"""What can go wrong in a training, for the person at the command line.

TrainingError            raised when a training cannot go on; its message says how to mend it
├── DownloadError        raised when a dataset's origin does not answer, or answers with something else
├── DigestError          raised when a file's SHA-256 is not the pinned one
├── DataError            raised when the user's own data cannot be trained on
└── ExportError          raised when an exported model is not the trained one; nothing is written
"""

from __future__ import annotations


class TrainingError(Exception):
    """A training cannot go on; the message is one line for a person and says how to mend it."""


class DownloadError(TrainingError):
    """A dataset's origin does not answer, or answers with something else than the file."""


class DigestError(TrainingError):
    """A file's SHA-256 is not the pinned one."""


class DataError(TrainingError):
    """The data cannot be trained on: too few images, unreadable files, columns that are missing."""


class ExportError(TrainingError):
    """The exported model differs from the trained one, or does not take the declared inputs."""
