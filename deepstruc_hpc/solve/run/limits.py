"""A time limit on one item."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from deepstruc_hpc.core.errors import TimeLimitError


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise :class:`TimeLimitError` in the block once the seconds have passed.

    Works in the main thread of a process (where Ray runs an actor's methods) on systems with interval timers. Elsewhere, and where an alarm was lost
    (Python drops what is raised while it clears up an object), the error comes at the end of the block: late, but it comes.
    """
    if seconds is None:
        yield
        return
    message = f"took longer than the time limit of {seconds:g} s. Lower --samples, or raise --time-limit."
    started = time.monotonic()
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        if time.monotonic() - started > seconds:
            raise TimeLimitError(message)
        return

    rung = False

    def on_alarm(_signal: int, _frame: FrameType | None) -> None:
        nonlocal rung
        rung = True
        raise TimeLimitError(message)

    before = signal.signal(signal.SIGALRM, on_alarm)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except SystemError as compiled:  # what becomes of an alarm within compiled code
        if rung:
            raise TimeLimitError(message) from compiled
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:  # somebody else's alarm, which is due all the same
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - started), 0.001))
    if time.monotonic() - started > seconds:
        raise TimeLimitError(message)
