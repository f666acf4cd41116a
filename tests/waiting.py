"""Waiting for a state: as long as a busy machine needs, and no longer."""

import time

PATIENCE_S = 120.0
"""Seconds after which a state is taken as one that never comes: far more than a machine with several busy processes a core needs."""


def wait_until(condition, seconds=PATIENCE_S):
    """Look ten times a second until the condition holds; returns its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.1)
    return value
