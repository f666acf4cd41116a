"""A bucket of requests."""

import pytest

from deepstruc_hpc.serve import limiter
from deepstruc_hpc.serve.limiter import Buckets, TooOftenError


def test_a_burst_is_allowed_and_then_the_rate():
    now = [0.0]
    buckets = Buckets(rate=2.0, size=5.0, clock=lambda: now[0])
    for _ in range(5):
        buckets.take("anna")
    with pytest.raises(TooOftenError) as refused:
        buckets.take("anna")
    assert refused.value.seconds == 1
    buckets.take("bert")
    now[0] = 1.0
    buckets.take("anna")
    buckets.take("anna")
    with pytest.raises(TooOftenError):
        buckets.take("anna")


def test_a_flood_of_addresses_takes_no_memory_and_frees_nobody(monkeypatch):
    monkeypatch.setattr(limiter, "MOST_BUCKETS", 50)
    now = [0.0]
    buckets = Buckets(rate=0.1, size=2.0, clock=lambda: now[0])
    for number in range(500):
        now[0] += 1.0
        buckets.take(number)
    assert len(buckets._levels) <= 51
