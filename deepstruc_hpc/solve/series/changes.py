"""Where a series changes: its state, and the course of its size and of its lattice constant.

A course bends or jumps at a frame where, within a window about it, two straight lines that meet there, or a parabola with a step, explain it better
than a smooth curve (a cubic) does. Beside a parabola instead, curved courses (the diameter of a particle that gains atoms at one rate) are told to
bend where they do not. Both are compared by the Bayesian information criterion, with the number of values that count: fits of
neighbouring frames err alike, since sizes come in steps (n (1 − ρ)/(1 + ρ) with ρ the correlation of neighbouring residuals). Frames that share their
candidates share their errors, too, however many they are: no bend or step counts for more than its own size over the uncertainty of one frame says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from deepstruc_hpc.physics.evidence import criterion
from deepstruc_hpc.solve.series.smoothing import CHANGE, Smoothed

WINDOWS = (12, 24, 48)
"""Frames on either side that a course is looked at in, each twice the one before: a sudden change shows in few, a slow one in many."""
FEWEST = 8
"""Values that are needed on either side."""
NEAR = 6
"""Frames within which changes are one."""
REPORTED = 0.5
"""Probability from which a change is told."""
SURE = 3.0
"""Nats, 20 to 1, from which a change is called a step and not a bend."""
QUIET, LITTLE = 3.0, 0.15
"""Times its uncertainty, and part of the slope on the other side: a slope below either is none."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A change between the frame before and this one.

    Attributes:
        frame: 0-based.
        probability: that something of this kind changed within some frames of here.
        kind: ``type``, ``size`` or ``lattice``.
        text: in words.
    """

    frame: int
    probability: float
    kind: str
    text: str


def state_changes(smoothed: Smoothed) -> list[Change]:
    """Where the best path goes from one state to another."""
    found = []
    for frame in np.flatnonzero(np.diff(smoothed.path)) + 1:
        near = smoothed.changed[max(int(frame) - NEAR // 2, 0) : int(frame) + NEAR // 2 + 1]
        before, after = smoothed.state(int(frame) - 1), smoothed.state(int(frame))
        found.append(Change(int(frame), float(min(near.sum(), 1.0)), "type", _states_in_words(before, after)))
    return found


def _states_in_words(before: str, after: str) -> str:
    old, new = before.split(" + "), after.split(" + ")
    come, gone = [one for one in new if one not in old], [one for one in old if one not in new]
    if len(old) == len(new) == 1:
        return f"{before} becomes {after}"
    words = [f"{' and '.join(come)} appears" if come else "", f"{' and '.join(gone)} disappears" if gone else ""]
    return ", ".join(word for word in words if word)


def course_changes(values: Floats, errors: Floats, kind: str, words: tuple[str, str]) -> tuple[Floats, list[Change]]:
    """Where a course bends or jumps.

    Args:
        values: (F,) of each frame, NaN where there is none.
        errors: (F,) standard uncertainties.
        kind: of the changes.
        words: what a rise and a fall are called.

    Returns:
        (F,) probability of a change at each frame, and the changes that are told.
    """
    known = np.flatnonzero(np.isfinite(values) & np.isfinite(errors))
    probability = np.zeros(len(values))
    if len(known) < 2 * FEWEST + 1:
        return probability, []
    y, e = values[known], np.maximum(errors[known], np.nanmedian(errors[known]) / 3.0)
    odds = np.full(len(known), -np.inf)
    for half in WINDOWS:
        for place in range(FEWEST, len(known) - FEWEST):
            odds[place] = np.logaddexp(odds[place], _log_odds(y, e, place, half) - np.log(len(WINDOWS)))
    odds += np.log(CHANGE)
    found = []
    left = odds.copy()
    while np.isfinite(left).any():
        best = int(np.argmax(left))
        near = slice(max(best - NEAR, 0), best + NEAR + 1)
        total = float(logsumexp(odds[near]))
        share = float(1.0 / (1.0 + np.exp(-total)))
        if share < REPORTED:
            break
        probability[known[near]] = np.maximum(probability[known[near]], share * np.exp(odds[near] - total))
        found.append(Change(int(known[best]), share, kind, _course_in_words(y, e, best, words)))
        left[max(best - 2 * NEAR, 0) : best + 2 * NEAR + 1] = -np.inf
    rest = probability[known] == 0
    probability[known[rest]] = 1.0 / (1.0 + np.exp(-np.minimum(odds[rest], 0.0)))
    return probability, sorted(found, key=lambda one: one.frame)


def _log_odds(y: Floats, e: Floats, place: int, half: int) -> float:
    """Ln of the evidence of a bend or a step at a place over that of a smooth course."""
    part = slice(max(place - half, 0), place + half)
    x = (np.arange(len(y))[part] - place) / half
    ones, later = np.ones_like(x), (x >= 0).astype(np.float64)
    smooth, course, _ = _residual(np.column_stack([ones, x, x**2, x**3]), y[part], e[part])
    bent, kinked, slopes = _residual(np.column_stack([ones, x, x * later]), y[part], e[part])
    stepped, jumped, heights = _residual(np.column_stack([ones, x, x**2, later]), y[part], e[part])
    n, alike = len(x), min(_alike(left) for left in (course, kinked, jumped))  # a course that is wrong makes its residuals alike
    count = max(n * (1.0 - alike) / (1.0 + alike), 6.0)
    alone = criterion(smooth, count, 4)
    bend, step = 0.5 * (alone - criterion(bent, count, 3)), 0.5 * (alone - criterion(stepped, count, 4))
    bend, step = min(bend, _most(0.5 * slopes[-1], e[part])), min(step, _most(heights[-1], e[part]))
    return float(np.logaddexp(bend, step) - np.log(2.0))


def _most(size: float, e: Floats) -> float:
    """Ln of the evidence for a difference between two values that each have the uncertainty of one frame."""
    return 0.25 * (size / float(np.median(e))) ** 2


def _residual(design: Floats, y: Floats, e: Floats) -> tuple[float, Floats, Floats]:
    """Weighted sum of squares that a linear model leaves, the residuals, and its coefficients."""
    solved = np.linalg.lstsq(design / e[:, None], y / e, rcond=None)[0]
    left = y / e - design @ solved / e
    return float(left @ left) + 1e-12, np.asarray(left), np.asarray(solved)


def _alike(left: Floats) -> float:
    """Correlation of neighbouring residuals, from 0 to 0.9."""
    return float(np.clip(left[1:] @ left[:-1] / max(float(left @ left), 1e-300), 0.0, 0.9))


def _course_in_words(y: Floats, e: Floats, place: int, words: tuple[str, str]) -> str:
    """What happens at a place."""
    half = WINDOWS[1]
    sides = slice(max(place - half, 0), place), slice(place, place + half)
    lines = [_line(y[side], e[side]) for side in sides]
    steepest = max(abs(float(line[0])) for line, _ in lines)
    slopes = [float(line[0]) if abs(line[0]) > max(QUIET * error, LITTLE * steepest) else 0.0 for line, error in lines]
    if jump := _jump(y, e, place, half):
        return f"{words[0] if jump > 0 else words[1]} at once"
    if slopes[0] == 0.0 and slopes[1] != 0.0:
        return f"{words[0] if slopes[1] > 0 else words[1]} starts"
    if slopes[1] == 0.0 and slopes[0] != 0.0:
        return f"{words[0] if slopes[0] > 0 else words[1]} ends"
    if slopes[0] * slopes[1] < 0:
        return f"{words[0] if slopes[1] > 0 else words[1]} starts"
    faster = abs(slopes[1]) > abs(slopes[0])
    return f"{words[0] if slopes[1] + slopes[0] > 0 else words[1]} becomes {'faster' if faster else 'slower'}"


def _jump(y: Floats, e: Floats, place: int, half: int) -> float:
    """Height of a step near a place, where a step beside a bend explains the course surely better than the bend alone does; else 0."""
    part = slice(max(place - half, 0), place + half)
    x = np.arange(len(y), dtype=np.float64)[part]
    bend, step, height, alike = np.inf, np.inf, 0.0, 0.0
    for start in range(max(place - NEAR // 2, 1), min(place + NEAR // 2 + 1, len(y))):
        ones, later = np.ones_like(x), (x >= start).astype(np.float64)
        near = (x - start) / half
        bent, kinked, _ = _residual(np.column_stack([ones, near, near * later]), y[part], e[part])
        stepped, jumped, found = _residual(np.column_stack([ones, near, near * later, later]), y[part], e[part])
        bend = min(bend, bent)
        if stepped < step:
            step, height, alike = stepped, float(found[-1]), min(_alike(kinked), _alike(jumped))
    count = max(len(x) * (1.0 - alike) / (1.0 + alike), 6.0)
    nats = 0.5 * (count * np.log(bend / step) - np.log(count))  # a step has one parameter more
    return height if min(nats, _most(height, e[part])) > SURE else 0.0


def _line(y: Floats, e: Floats) -> tuple[Floats, float]:
    """The best straight line (slope, value at 0) and the uncertainty of its slope."""
    x = np.arange(len(y), dtype=np.float64)
    found = np.polyfit(x, y, 1, w=1.0 / e)
    left = y - np.polyval(found, x)
    spread = float(np.sum((x - x.mean()) ** 2))
    return np.asarray(found), float(np.sqrt(left @ left / max(len(y) - 2, 1) / max(spread, 1e-12)))
