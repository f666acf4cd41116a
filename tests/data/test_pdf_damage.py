"""Damaged files: an error or a true curve, never a crash, a hang or a wrong curve without a word."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepstruc_hpc import read_pdf
from deepstruc_hpc.core.errors import PdfFileError
from tests.data import gr_dialects as dialects

QUICK, MANY_EACH = int(os.environ.get("DAMAGED_FILES", "300")), 3400
CURVE = dialects.gold(0.1)
TEXTS = {name: write(*CURVE) for name, write in {**dialects.PLAIN, **dialects.OTHER_UNITS}.items()}
NOTES: dict[str, tuple[str, ...]] = {}
DAMAGED = settings(max_examples=QUICK, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
MANY = settings(DAMAGED, max_examples=MANY_EACH)
position = st.floats(0, 1, exclude_max=True)
a_name = st.sampled_from(sorted(TEXTS))
byte_damage = st.lists(st.tuples(position, st.integers(0, 40), st.binary(max_size=12)), min_size=1, max_size=6)
LINE_DAMAGE = st.sampled_from(["delete", "repeat", "swap", "cut", "garbage", "join", "comment", "blank"])
line_damage = st.lists(st.tuples(LINE_DAMAGE, position, st.integers(1, 30)), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    for name, text in TEXTS.items():
        (folder / "whole.gr").write_text(text, newline="")
        NOTES[name] = read_pdf(folder / "whole.gr").notes
    return folder


def read_damaged(place: Path, content: bytes):
    """The curve or None where it was refused; anything but a PdfFileError is a failure, as are more than 5 s of CPU."""
    path = place / "damaged.gr"
    path.write_bytes(content)
    started = time.thread_time()
    try:
        curve, refused = read_pdf(path), ""
    except PdfFileError as error:
        curve, refused = None, str(error)
    assert time.thread_time() - started < 5.0
    if curve is None:
        assert str(path) in refused
        return None
    assert np.isfinite(curve.r).all()
    assert np.isfinite(curve.g).all()
    assert (np.diff(curve.r) > 0).all()
    assert len(curve.r) == len(curve.g) >= 20
    assert curve.r[-1] - curve.r[0] >= 6.0
    return curve


@given(name=a_name, cuts=byte_damage)
@DAMAGED
def test_any_bytes_give_a_usable_curve_or_an_error(place, name, cuts):
    check_bytes(place, name, cuts)


@pytest.mark.slow
@given(name=a_name, cuts=byte_damage)
@MANY
def test_any_bytes_of_thousands_of_files(place, name, cuts):
    """With the two tests below 10,200 damaged files."""
    check_bytes(place, name, cuts)


def check_bytes(place, name, cuts):
    content = TEXTS[name].encode()
    for where, length, insert in cuts:
        at = int(where * len(content))
        content = content[:at] + insert + content[at + length :]
    curve = read_damaged(place, content)
    if curve is None or set(curve.notes) - set(NOTES[name]):
        return
    # A digit that changes within a number is a number still; a shifted, stretched or scaled curve would differ in more than the rows touched.
    r, g, _ = CURVE
    at = np.clip(np.searchsorted(r, curve.r - 0.05), 0, len(r) - 1)
    wrong = (np.abs(curve.r - r[at]) > 0.02) | (np.abs(curve.g - g[at]) > 1e-5 * np.abs(g).max())
    assert wrong.sum() <= 3 * len(cuts)


@given(content=st.binary(max_size=3000))
@DAMAGED
def test_random_bytes_never_crash_the_reader(place, content):
    assert read_damaged(place, content) is None


@pytest.mark.slow
@given(content=st.binary(max_size=3000))
@MANY
def test_random_bytes_of_thousands_of_files(place, content):
    assert read_damaged(place, content) is None


@given(name=a_name, damage=line_damage)
@DAMAGED
def test_lines_lost_moved_or_broken_never_give_a_wrong_curve_without_a_word(place, name, damage):
    check_lines(place, name, damage)


@pytest.mark.slow
@given(name=a_name, damage=line_damage)
@MANY
def test_lines_of_thousands_of_files(place, name, damage):
    check_lines(place, name, damage)


def check_lines(place, name, damage):
    newline = "\r\n" if "\r\n" in TEXTS[name] else "\r" if "\n" not in TEXTS[name] else "\n"
    lines = TEXTS[name].split(newline)
    for kind, where, length in damage:
        damage_lines(lines, kind, int(where * len(lines)), length)
    curve = read_damaged(place, newline.join(lines).encode())
    if curve is None or set(curve.notes) - set(NOTES[name]):
        return
    r, g, _ = CURVE
    scale = r[-1] / curve.r[-1] if name in dialects.OTHER_UNITS and not curve.notes else 1.0
    assert scale == 1.0, "the unit was guessed without a word"
    at = np.searchsorted(r, curve.r - 1e-6)
    np.testing.assert_allclose(curve.r, r[at], atol=1e-6)
    np.testing.assert_allclose(curve.g, g[at], atol=1e-6)
    assert (np.diff(at) == 1).all(), "points within the range were lost without a word"
    if not any(kind == "cut" for kind, _, _ in damage):
        touched = sum(length if kind == "delete" else 2 for kind, _, length in damage)
        assert len(curve) >= len(r) - touched, "a part of the curve was lost without a word"


def damage_lines(lines: list[str], kind: str, at: int, length: int) -> None:
    if not lines:
        return
    if kind == "delete":
        del lines[at : at + length]
    elif kind == "repeat":
        lines[at:at] = lines[at : at + length]
    elif kind == "swap":
        other = min(len(lines) - 1, at + length)
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == "cut":
        del lines[at + 1 :]
    elif kind == "garbage":
        lines[at] = "x" * length
    elif kind == "join" and at + 1 < len(lines):
        lines[at : at + 2] = [lines[at] + " " + lines[at + 1]]
    elif kind == "comment":
        lines[at] = "# " + lines[at]
    elif kind == "blank":
        lines.insert(at, "")
