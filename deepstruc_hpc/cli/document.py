"""One JSON document on stdout and nothing else there: what libraries print meanwhile goes to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_kept: list[TextIO] = []


@contextmanager
def stdout_for_the_document(wanted: bool) -> Iterator[None]:
    """Keep stdout for :func:`print_document` alone, where ``wanted``; Ray's own threads print there otherwise."""
    if not wanted:
        yield
        return
    _kept.append(sys.stdout)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = _kept.pop()


def print_document(text: str) -> None:
    """Print what the command was asked for."""
    stream = _kept[-1] if _kept else sys.stdout
    stream.write(text + "\n")
    stream.flush()
