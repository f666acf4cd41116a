"""Laws of making batches ahead."""

import itertools
import threading
import time

import pytest

from deepstruc_hpc.training.prefetch import ahead


def test_order_and_content_stay():
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead([])) == []


def test_an_error_in_the_making_reaches_the_reader_after_what_was_made():
    def items():
        yield 1
        yield 2
        raise ValueError("broken batch")

    seen = []
    with pytest.raises(ValueError, match="broken batch"):
        seen.extend(ahead(items()))
    reader = ahead(items())
    assert [next(reader), next(reader)] == [1, 2]


def test_making_and_reading_overlap():
    """Fails when items are made one after the other with the reading."""

    def slow():
        for number in range(6):
            time.sleep(0.05)
            yield number

    began = time.monotonic()
    for _ in ahead(slow()):
        time.sleep(0.05)
    assert time.monotonic() - began < 0.55


def test_a_reader_that_stops_ends_the_thread():
    before = threading.active_count()
    reader = ahead(itertools.count())
    assert next(reader) == 0
    reader.close()
    assert threading.active_count() == before
