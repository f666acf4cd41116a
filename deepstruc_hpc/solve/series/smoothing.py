"""Discrete states along a series: what the frames before and after say of each frame, and where the state changes.

A hidden Markov model. A frame's posterior over states (its types share the prior equally, so it is their evidence) is what is seen of it; from one
frame to the next the state changes with a small probability, to any other alike. Forwards and backwards (Rabiner, Proc. IEEE 77 (1989) 257) give
the probability of each state in each frame, and that the state changed between two frames; the best path through all gives the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANGE = 0.005
"""Probability that the state changes between two frames: of a series of some hundreds of frames one or two changes are expected. Frames of another
state than those before and after need 2 ln(200 (S − 1)) nats together, 11 to 13."""
FLOOR = 1e-4
"""Least evidence of a state relative to the best in a frame: 9 nats, less than a lone frame needs, so that a state is one once two frames in a row
say so. A frame may miss a state because no candidate of it was fitted there, and its noise is not quite what the ranking takes it for."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Smoothed:
    """A series after smoothing.

    Attributes:
        states: the S states.
        path: (F,) number of the state of each frame on the best path.
        probability: (F, S) of each state in each frame by all frames.
        changed: (F,) probability that the state is another than in the frame before; 0 for the first.
    """

    states: tuple[str, ...]
    path: NDArray[np.int64]
    probability: Floats
    changed: Floats

    def state(self, frame: int) -> str:
        """On the best path."""
        return self.states[int(self.path[frame])]


def smooth(evidence: Sequence[Mapping[str, float]], change: float = CHANGE) -> Smoothed:
    """Smooth a series forwards and backwards.

    Args:
        evidence: of each frame ln of the evidence by state; empty for a frame without an answer, which says nothing.
        change: probability of a change between two frames.
    """
    states = tuple(dict.fromkeys(state for one in evidence for state in one))
    frames, count = len(evidence), len(states)
    if not states:
        return Smoothed((), np.zeros(frames, dtype=np.int64), np.zeros((frames, 0)), np.zeros(frames))
    seen = np.zeros((frames, count))
    for row, one in enumerate(evidence):
        if one:
            best = max(one.values())
            seen[row] = [max(one.get(state, -np.inf) - best, np.log(FLOOR)) for state in states]
    if count == 1:
        return Smoothed(states, np.zeros(frames, dtype=np.int64), np.ones((frames, 1)), np.zeros(frames))
    step = np.full((count, count), change / (count - 1))
    np.fill_diagonal(step, 1.0 - change)
    weight = np.exp(seen)
    forward, backward = np.ones((frames, count)), np.ones((frames, count))
    forward[0] = weight[0] / weight[0].sum()
    for t in range(1, frames):
        forward[t] = (forward[t - 1] @ step) * weight[t]
        forward[t] /= forward[t].sum()
    for t in range(frames - 2, -1, -1):
        backward[t] = step @ (weight[t + 1] * backward[t + 1])
        backward[t] /= backward[t].sum()
    probability = forward * backward
    probability /= probability.sum(axis=1, keepdims=True)
    changed = np.zeros(frames)
    for t in range(1, frames):
        both = forward[t - 1][:, None] * step * (weight[t] * backward[t])[None, :]
        changed[t] = max(1.0 - float(np.trace(both) / both.sum()), 0.0)
    return Smoothed(states, _best_path(seen, np.log(step)), probability, changed)


def _best_path(seen: Floats, step: Floats) -> NDArray[np.int64]:
    """The most probable sequence of states (Viterbi)."""
    frames = len(seen)
    came = np.zeros(seen.shape, dtype=np.int64)
    score = seen[0].copy()
    for t in range(1, frames):
        total = score[:, None] + step
        came[t] = np.argmax(total, axis=0)
        score = total.max(axis=0) + seen[t]
    path = np.zeros(frames, dtype=np.int64)
    path[-1] = int(np.argmax(score))
    for t in range(frames - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path
