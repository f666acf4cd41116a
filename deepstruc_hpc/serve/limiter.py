"""How often somebody may ask: a bucket of requests that fills again at a constant rate."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable

from deepstruc_hpc.serve.settings import Limits, NotAllowedError

MOST_BUCKETS = 10_000
"""Of addresses and users at a time. Full ones are forgotten first; nobody gains by it, as a new bucket is full."""
ADDRESS_TIMES = 4.0
"""An address may ask so many times as often as a user: several people may share one."""


class TooOftenError(NotAllowedError):
    """Somebody asks too often; the seconds to wait are known."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        super().__init__(f"too many requests; wait {self.seconds} s", 429)


class Buckets:
    """One bucket a key.

    Args:
        rate: requests s⁻¹ that come back.
        size: requests of a full bucket.
        clock: seconds.
    """

    def __init__(self, rate: float, size: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.size, self._clock = rate, size, clock
        self._levels: dict[Hashable, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, key: Hashable) -> None:
        """One request of a key.

        Raises:
            TooOftenError: its bucket is empty.
        """
        with self._lock:
            now = self._clock()
            level, then = self._levels.get(key, (self.size, now))
            level = min(self.size, level + self.rate * (now - then))
            if level < 1.0:
                self._levels[key] = level, now
                raise TooOftenError((1.0 - level) / self.rate)
            self._levels[key] = level - 1.0, now
            if len(self._levels) > MOST_BUCKETS:
                self._forget(now)

    def _forget(self, now: float) -> None:
        full = [key for key, (level, then) in self._levels.items() if level + self.rate * (now - then) >= self.size]
        for key in full or list(self._levels)[: MOST_BUCKETS // 2]:
            del self._levels[key]


class Limiter:
    """The buckets of a server: of users, of addresses, and of wrong tokens."""

    def __init__(self, limits: Limits) -> None:
        self.users = Buckets(limits.requests_per_second, limits.requests_at_once)
        self.addresses = Buckets(ADDRESS_TIMES * limits.requests_per_second, ADDRESS_TIMES * limits.requests_at_once)
        self.wrong_tokens = Buckets(limits.wrong_tokens_per_minute / 60.0, limits.wrong_tokens_per_minute)
