"""A time limit ends the work wherever it is, whoever catches what."""

import contextlib
import signal
import sys
import time

import pytest

from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.solve.run.limits import TimeLimitError, time_limit


def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def stubborn(begun):
    """Goes on after whatever a part of it raises; notes each part that it begins."""
    for part in range(40):
        begun.append(part)
        try:
            busy(0.1)
        except DeepstrucError:
            continue


class SlowToGo:
    """Takes its time when it is cleared up, where Python drops what is raised."""

    def __del__(self):
        busy(0.2)


def limited(seconds, work):
    with time_limit(seconds):
        work()


def test_work_that_goes_on_after_its_own_failures_is_ended_all_the_same():
    """Fails when the limit is an error of the kind that a part of the work may have, and go on without."""
    begun = []
    with pytest.raises(TimeLimitError, match=r"0\.05 s"):
        limited(0.05, lambda: stubborn(begun))
    assert len(begun) <= 2  # the first; another one where the core is taken away just before the alarm


def test_an_alarm_that_python_drops_is_made_good_at_the_end(monkeypatch):
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: dropped.append(lost.exc_type))
    with pytest.raises(TimeLimitError):
        limited(0.05, SlowToGo)
    assert dropped == [TimeLimitError]


def test_work_within_its_limit_is_left_alone_and_so_is_what_follows():
    """Fails when the alarm outlives the block, or the handler that was there before is lost."""
    before = signal.getsignal(signal.SIGALRM)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        limited(0.1, lambda: busy(0.01))
        limited(None, lambda: busy(0.01))
        busy(0.15)
        assert signal.getsignal(signal.SIGALRM) == before
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, outer)


@pytest.mark.parametrize(("work", "left"), [(lambda: None, 500.0), (lambda: busy(0.2), 499.96)], ids=["done in time", "too long"])
def test_an_alarm_that_was_set_before_is_still_due(work, left):
    """The time-out of a test, say. Fails when the end of the limit takes it away, or lets it begin anew."""
    outer, _ = signal.setitimer(signal.ITIMER_REAL, 500.0)
    try:
        with contextlib.suppress(TimeLimitError):
            limited(0.05, work)
        assert 0.0 < signal.getitimer(signal.ITIMER_REAL)[0] < left
    finally:
        signal.setitimer(signal.ITIMER_REAL, outer)
