"""How far a job is, how fast it goes and when it may be done."""

from __future__ import annotations

from dataclasses import dataclass

from production_server.jobs.records import Job
from production_server.web.pages.wording import count, counted, duration

NOT_YET = 1.0
"""Seconds of work before which a rate would be noise."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A job's progress at one moment; `rate` is items per second since its first item was taken."""

    done: int
    total: int
    rate: float | None
    left_s: float | None
    is_cancelled: bool = False

    @property
    def sentence(self) -> str:
        """`1 200 of 10 000 done, 900 per second, about 10 s left`."""
        if self.is_cancelled:
            return f"{counted(self.total - self.done, 'item')} still in the hands of a worker"
        text = f"{count(self.done)} of {count(self.total)} done"
        if self.rate is not None:
            text += f", {count(round(self.rate)) if self.rate >= 1 else f'{self.rate:.1f}'} per second"
        if self.left_s is not None:
            text += f", about {duration(max(self.left_s, 1))} left"
        return text


def progress_of(job: Job, now: float) -> Progress:
    """A job's progress; `now` in seconds since the Unix epoch. A rate only while it runs and after a moment of it."""
    if job.state == "cancelled":
        return Progress(job.done, job.total, None, None, is_cancelled=True)
    worked_s = 0.0 if job.started_at is None or job.is_over else now - job.started_at
    if worked_s < NOT_YET or not job.done:
        return Progress(job.done, job.total, None, None)
    rate = job.done / worked_s
    # While a scan adds items nobody knows how many there will be.
    left_s = None if job.is_growing else (job.total - job.done) / rate
    return Progress(job.done, job.total, rate, left_s)
