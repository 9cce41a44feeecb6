"""What is said of a canary: better or as good, worse, or not enough to say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from production_server.learning.canary import ENOUGH, STEP, CanaryVerdict, Seen, class_of, judge


def seen(answers: int, failed: int = 0, *, ms: float = 2.0, labels: dict[str, int] | None = None) -> Seen:
    return Seen(answers, failed, Counter({class_of(ms): answers - failed}), Counter(labels or {}))


def verdict(canary: Seen, stable: Seen) -> CanaryVerdict:
    return judge(canary, stable, work="calls").verdict


@pytest.mark.parametrize("failed", [0, 1])
def test_a_canary_that_does_as_stable_does_is_as_good(failed: int) -> None:
    judged = judge(seen(1000, failed), seen(19_000, 19 * failed), work="calls")

    assert (judged.verdict, judged.reasons) == (CanaryVerdict.AS_GOOD, ("as good on 1000 calls",))


def test_too_few_answers_are_never_as_good_and_say_how_many() -> None:
    judged = judge(seen(12), seen(5000), work="calls")

    assert (judged.verdict, judged.reasons) == (
        CanaryVerdict.UNKNOWN,
        (f"too few: 12 of {ENOUGH} calls of the canary",),
    )
    assert judge(seen(5000), seen(12), work="items").reasons == (f"too few: 12 of {ENOUGH} items of stable",)
    assert verdict(Seen(), Seen()) == CanaryVerdict.UNKNOWN


def test_a_canary_that_always_fails_is_taken_for_worse_after_a_dozen_answers() -> None:
    judged = judge(seen(12, 12), seen(228), work="calls")

    assert (judged.verdict, judged.reasons) == (
        CanaryVerdict.WORSE,
        ("12 of 12 (100.0%) fail, of stable 0 of 228 (0.0%)",),
    )


def test_one_failure_among_few_is_chance() -> None:
    assert verdict(seen(5, 1), seen(95)) == CanaryVerdict.UNKNOWN


def test_a_little_more_that_fails_is_too_close_to_say_and_a_lot_is_worse() -> None:
    assert verdict(seen(300, 6), seen(5700)) == CanaryVerdict.UNKNOWN
    assert verdict(seen(300, 60), seen(5700)) == CanaryVerdict.WORSE


def test_what_fails_of_stable_as_well_is_no_fault_of_the_canary() -> None:
    assert verdict(seen(1000, 300), seen(19_000, 5700)) != CanaryVerdict.WORSE


def test_a_canary_that_is_much_slower_is_worse_and_a_little_slower_is_not() -> None:
    slow = judge(seen(500, ms=20), seen(9500, ms=2), work="calls")

    assert slow.verdict == CanaryVerdict.WORSE
    assert slow.reasons == ("95 of 100 take up to 20.6 ms, of stable 2.08 ms",)
    assert verdict(seen(500, ms=6), seen(9500, ms=2)) == CanaryVerdict.AS_GOOD  # not by 5 ms
    assert verdict(seen(500, ms=130), seen(9500, ms=100)) == CanaryVerdict.AS_GOOD  # not by half


def test_one_slow_answer_among_few_is_chance() -> None:
    few = seen(10)
    few.times[class_of(500)] += 1

    assert verdict(few, seen(190)) == CanaryVerdict.UNKNOWN


def test_other_labels_are_worse_and_the_spread_of_chance_is_not() -> None:
    stable = seen(9500, labels={"yes": 3000, "no": 6500})

    assert verdict(seen(500, labels={"yes": 170, "no": 330}), stable) == CanaryVerdict.AS_GOOD
    other = judge(seen(500, labels={"yes": 480, "no": 20}), stable, work="items")
    assert other.verdict == CanaryVerdict.WORSE
    assert other.reasons == ("64% of its labels are others: yes 96%, no 4%, of stable no 68%, yes 32%",)
    assert verdict(seen(6, labels={"yes": 6}), stable) == CanaryVerdict.UNKNOWN


def test_many_labels_that_few_answers_leave_empty_are_chance() -> None:
    random = np.random.default_rng(1)

    def drawn(count: int) -> Seen:
        found = Counter(map(str, random.integers(0, 100, count)))
        return seen(count, labels=dict(found))

    assert verdict(drawn(300), drawn(6000)) == CanaryVerdict.AS_GOOD


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_of_canaries_that_are_as_stable_is_hardly_one_taken_for_worse_however_often_one_looks(
    share: float,
) -> None:
    """A hundred canaries, each looked at after every hundred answers up to 5,000."""
    random = np.random.default_rng(7)
    taken_back = 0
    for _ in range(100):
        both = [Seen(), Seen()]
        verdicts = set()
        for _ in range(50):
            for each in both:
                labels = random.multinomial(100, [0.5, 0.3, 0.2])
                named = dict(zip("abc", map(int, labels), strict=True))
                each.add(seen(100, int(random.binomial(100, share)), labels=named))
            verdicts.add(verdict(*both))
        taken_back += CanaryVerdict.WORSE in verdicts

    assert taken_back <= 1


def test_a_few_slow_answers_at_the_beginning_are_chance_however_often_one_looks() -> None:
    """Three hundred canaries as quick as stable, each looked at after each of its first hundred answers."""
    random = np.random.default_rng(7)

    def timed(count: int) -> Seen:
        found = Seen(answers=count)
        found.times.update(
            map(class_of, random.lognormal(1, 0.3, count) * random.choice([1, 9], count, p=[0.975, 0.025]))
        )
        return found

    taken_back = 0
    for _ in range(300):
        canary, stable = Seen(), timed(2000)
        verdicts = set()
        for _ in range(100):
            canary.add(timed(1))
            verdicts.add(verdict(canary, stable))
        taken_back += CanaryVerdict.WORSE in verdicts

    assert taken_back <= 3


@pytest.mark.parametrize("ms", [0.0, 0.01, 1.0, 3.3, 40_000.0])
def test_times_are_as_exact_as_their_classes(ms: float) -> None:
    found = seen(100, ms=ms).p95_ms

    assert (
        found is not None and max(ms, 0.001) <= found * 1.000001 and found <= max(ms, 0.001) * STEP * 1.000001
    )
