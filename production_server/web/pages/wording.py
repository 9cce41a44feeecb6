"""Numbers and times as people read them: the filters that the templates use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from production_server.models.tasks.regression import shown_value
from production_server.serving.comparison import ON_SAMPLE

NO_BREAK = "\N{NO-BREAK SPACE}"
THIN = "\N{NARROW NO-BREAK SPACE}"


def percent(share: float) -> str:
    """A share of one: `65.4 %`; what rounding would turn into certainty is written as a bound."""
    if 0 < share < 0.0005:
        return f"<{NO_BREAK}0.1{NO_BREAK}%"
    if 0.9995 <= share < 1:
        return f">{NO_BREAK}99.9{NO_BREAK}%"
    return f"{share * 100:.1f}{NO_BREAK}%"


def count(number: int) -> str:
    """A whole number with its thousands apart: `10 000`."""
    return f"{number:,}".replace(",", THIN)


def plain(number: float) -> str:
    """A number without noise: `44`, `0.627`."""
    return f"{number:.6g}".replace("-", "\N{MINUS SIGN}")


def value(number: float) -> str:
    """A measured value: `151.326`."""
    return shown_value(number).replace("-", "\N{MINUS SIGN}")


class Range(Protocol):
    """From where to where values were seen, as far as that is known."""

    @property
    def minimum(self) -> float | None: ...
    @property
    def maximum(self) -> float | None: ...


def seen(values: Range) -> str:
    """A range: `44 to 199`; empty where nothing of it is known."""
    low, high = values.minimum, values.maximum
    if low is None or high is None:
        return f"from {plain(low)}" if low is not None else f"up to {plain(high)}" if high is not None else ""
    return f"{plain(low)} to {plain(high)}"


def counted(number: int, noun: str) -> str:
    """`1 row`, `10 000 rows`."""
    return f"{count(number)}{NO_BREAK}{noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """How long something took: `8 ms`, `1.5 s`, `12 s`, `3 min`, `2 h`."""
    if seconds < 1:
        return f"{max(round(seconds * 1000), 1)}{NO_BREAK}ms"
    if seconds < 10:
        return f"{seconds:.1f}{NO_BREAK}s"
    if seconds < 120:
        return f"{seconds:.0f}{NO_BREAK}s"
    if seconds < 7200:
        return f"{seconds / 60:.0f}{NO_BREAK}min"
    return f"{seconds / 3600:.0f}{NO_BREAK}h"


def size(size_bytes: int) -> str:
    """How large a file is: `512 bytes`, `41.6 kB`, `64 MB`."""
    for unit, scale in (("MB", 2**20), ("kB", 2**10)):
        if size_bytes >= scale:
            return f"{round(size_bytes / scale, 1):g}{NO_BREAK}{unit}"
    return f"{size_bytes}{NO_BREAK}bytes"


def moment(seconds: float | datetime) -> str:
    """A time: `20 Nov 2026, 10:31 UTC`."""
    when = seconds if isinstance(seconds, datetime) else datetime.fromtimestamp(seconds, UTC)
    return f"{when.day} {when.astimezone(UTC):%b %Y, %H:%M} UTC"


def isoformat(seconds: float | datetime) -> str:
    """A time for machines: the `datetime` attribute of a `time` element."""
    when = seconds if isinstance(seconds, datetime) else datetime.fromtimestamp(seconds, UTC)
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


METRIC_NAMES = {
    "accuracy": "Accuracy",
    "brier": "Brier score",
    "cross_entropy": "Cross-entropy",
    "macro_f1": "Macro F1",
    "mean_absolute_error": "Mean error (MAE)",
    "mae": "Mean error (MAE)",
    "micro_f1": "Micro F1",
    "r2": "R²",
    "rmse": "RMSE",
    "roc_auc": "ROC AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "top_5_accuracy": "Top-5 accuracy",
    "validation_accuracy": "Validation accuracy",
}
SHARES = frozenset(
    {
        "accuracy",
        "error_rate",
        "share_of_wrong_labels",
        "top_5_accuracy",
        "validation_accuracy",
        "sensitivity",
        "specificity",
    }
)


def metric_name(name: str) -> str:
    """What a metric is called: `ROC AUC`, `Error rate on the sample`."""
    if name.endswith(ON_SAMPLE):
        return f"{metric_name(name.removesuffix(ON_SAMPLE))} on the sample"
    return METRIC_NAMES.get(name, name.replace("_", " ").capitalize())


def metric_value(value: float, name: str) -> str:
    """Shares as percentages, other measures with three decimals."""
    is_share = name.removesuffix(ON_SAMPLE) in SHARES
    return f"{value * 100:.1f}{NO_BREAK}%" if is_share else f"{value:.3f}"


FILTERS = {
    function.__name__: function
    for function in (
        percent, count, counted, plain, value, seen, duration, size, moment, isoformat, metric_name, metric_value,
    )
}  # fmt: skip
