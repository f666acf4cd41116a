"""Where the time goes: the steps of a work, one after the other, with nothing between them."""

from __future__ import annotations

import time


class Steps:
    """Seconds by step. A step lasts until the next one begins, so that the steps add up to the whole.

    Args:
        name: of the first step, which begins now.
    """

    def __init__(self, name: str) -> None:
        self._seconds: dict[str, float] = {}
        self._name, self._since = name, time.monotonic()

    def begin(self, name: str) -> None:
        """End the step that runs and begin another one, or go on with an earlier one of that name."""
        now = time.monotonic()
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now

    def seconds(self) -> dict[str, float]:
        """Wall time of each step so far, in the order in which they began, s."""
        self.begin(self._name)
        return dict(self._seconds)
