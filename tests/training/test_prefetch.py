"""Laws of making batches ahead."""

import itertools
import threading

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


def test_the_next_items_are_made_while_the_reader_works():
    """Fails when an item is made only once it is asked for: the reader then waits here for what nobody makes."""
    made = [threading.Event() for _ in range(6)]

    def items():
        for number in range(6):
            made[number].set()
            yield number

    for number in ahead(items(), depth=2):
        assert all(event.wait(120) for event in made[: min(number + 3, 6)])


def test_no_more_is_made_ahead_than_was_said():
    """A batch is large: of an endless supply, two wait and one is in hand of the maker."""
    made = []

    def items():
        for number in itertools.count():
            made.append(number)
            yield number

    reader = ahead(items(), depth=2)
    for number in range(20):
        assert next(reader) == number
        assert len(made) <= number + 1 + 3
    reader.close()


def test_a_reader_that_stops_ends_the_thread():
    before = threading.active_count()
    reader = ahead(itertools.count())
    assert next(reader) == 0
    reader.close()
    assert threading.active_count() == before
