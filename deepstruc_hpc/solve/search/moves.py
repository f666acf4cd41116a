"""Discrete changes of a particle on its template lattice: atoms, orbits, layers, corners, outlines and centres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.structures.close_packed import sequence_of, stacking_word
from deepstruc_hpc.structures.layer_moves import restacked
from deepstruc_hpc.structures.layer_stack import LayerStack
from deepstruc_hpc.structures.occupation import Floats, Mask, Occupation, assign_stack, stacks_of
from deepstruc_hpc.structures.random_shapes import without_dangling

Moved = TypeVar("Moved")

FEWEST_ATOMS = 6
"""A particle of fewer atoms is not made."""
SIZES = (0.8, 0.85, 0.9, 0.94, 0.97, 1.0, 1.03, 1.06, 1.1, 1.15, 1.22, 1.3)
"""Sizes at which an outline is cut, relative to the particle's own."""
_LAYER = 0.3
"""Nearest-neighbour distances: thinner than any layer of atoms of low indices (0.5 to 0.8)."""
_PLANE = 0.12
"""Nearest-neighbour distances within which sites lie in one plane: template lattices are ideal."""
_CENTRES = 0.35
"""Nearest-neighbour distances, RMS of the shift of an outline's centre."""


def usable(occupation: Occupation, mask: Mask) -> Mask | None:
    """The occupation without dangling atoms, or None where nothing new or too little is left."""
    kept = without_dangling(occupation.template, mask)
    return None if np.count_nonzero(kept) < FEWEST_ATOMS or (kept == occupation.mask).all() else kept


def orbit_moves(occupation: Occupation, _: np.random.Generator) -> Iterator[Mask]:
    """Surface sites emptied and sites at the surface filled, with all that the particle's own symmetry makes equal."""
    full = int(np.asarray(occupation.template.bonds.sum(axis=1)).max())
    changed = np.flatnonzero(np.where(occupation.mask, occupation.coordination < full, occupation.coordination >= occupation.template.min_neighbours))
    orbit = occupation.stabiliser[:, changed].min(axis=0)
    for first in np.unique(orbit):
        mask = occupation.mask.copy()
        chosen = changed[orbit == first]
        mask[chosen] = ~mask[chosen]
        yield mask


def layer_moves(occupation: Occupation, _: np.random.Generator) -> Iterator[Mask]:
    """A facet layer less or more along each normal, along all of a family, and from one side to the other, which moves the centre."""
    for family in occupation.normals:
        less, more = [without_layer(occupation, normal) for normal in family], [with_layer(occupation, normal) for normal in family]
        yield from (occupation.mask & ~layer for layer in less)
        yield from (occupation.mask | layer for layer in more)
        yield occupation.mask & ~np.logical_or.reduce(less)
        yield occupation.mask | np.logical_or.reduce(more)
        for number, normal in enumerate(family):
            opposite = int(np.argmin(family @ normal))
            yield (occupation.mask & ~less[number]) | more[opposite]
            yield occupation.mask & ~less[number] & ~less[opposite]


def without_layer(occupation: Occupation, normal: Floats) -> Mask:
    """The outermost filled sites along a normal, (S,) bool."""
    height = occupation.template.sites @ normal
    return np.asarray(occupation.mask & (height > height[occupation.mask].max() - _LAYER))


def with_layer(occupation: Occupation, normal: Floats) -> Mask:
    """The empty sites of the next layer along a normal that rest on filled ones, (S,) bool."""
    height = occupation.template.sites @ normal
    free = (
        ~occupation.mask & (occupation.coordination >= min(3, occupation.template.min_neighbours)) & (height > height[occupation.mask].max() + 0.05)
    )
    return np.asarray(free & (height < height[free].min() + _PLANE)) if free.any() else free


def centre_moves(occupation: Occupation, _: np.random.Generator) -> Iterator[Mask]:
    """The central atom of an icosahedron taken out or put in."""
    if occupation.centre is not None:
        mask = occupation.mask.copy()
        mask[occupation.centre] = ~mask[occupation.centre]
        yield mask


def coordination_moves(occupation: Occupation, _: np.random.Generator) -> Iterator[Mask]:
    """Corners and edges taken off by their number of neighbours; empty sites with many filled neighbours filled; hollows closed."""
    filled, empty = occupation.coordination[occupation.mask], occupation.coordination[~occupation.mask]
    for limit in np.unique(filled)[:6]:
        yield occupation.mask & (occupation.coordination > limit)
    for limit in np.unique(empty[empty >= occupation.template.min_neighbours]):
        yield occupation.mask | (occupation.coordination >= limit)


def outline_moves(occupation: Occupation, rng: np.random.Generator) -> Iterator[Mask]:
    """The particle's outline, smoothed or idealised, cut at other sizes and about other centres."""
    for level in outlines(occupation, rng):
        yield from cuts(occupation, level)


def outlines(occupation: Occupation, rng: np.random.Generator) -> Iterator[Floats]:
    """How far bodies like the particle must grow to hold each site; (S,)."""
    template, sites = occupation.template, occupation.sites
    centre = sites.mean(axis=0)
    yield -smoothed(occupation)
    yield np.linalg.norm(template.sites - centre, axis=1)
    yield template.distance
    axes = np.linalg.cholesky(np.linalg.inv(np.cov(sites.T) + 0.02 * np.eye(3)))
    for number in range(8):
        shift = rng.normal(size=3) * _CENTRES / np.sqrt(3.0) if number else np.zeros(3)
        stretch = np.exp(rng.normal(0.0, 0.08, size=3)) if number else np.ones(3)
        yield np.linalg.norm(((template.sites - centre - shift) @ axes) * stretch, axis=1)
    normals = np.concatenate(occupation.normals)
    reach = np.maximum((sites @ normals.T).max(axis=0), 0.3)
    yield (template.sites @ (normals / reach[:, None]).T).max(axis=1)
    means = np.concatenate([np.full(len(family), np.median((sites @ family.T).max(axis=0))) for family in occupation.normals])
    yield (template.sites @ (normals / np.maximum(means, 0.3)[:, None]).T).max(axis=1)
    for _ in range(8):
        varied = reach * np.exp(rng.normal(0.0, 0.08, size=len(reach)) * (rng.random(len(reach)) < 0.3))
        yield (template.sites @ (normals / varied[:, None]).T).max(axis=1)


def smoothed(occupation: Occupation) -> Floats:
    """The occupation averaged twice over neighbours, (S,): high inside, falling outwards, so that cuts of it are rounded particles of like shape."""
    weight = np.asarray(occupation.template.bonds.sum(axis=1)).ravel() + 1.0
    field = occupation.mask.astype(np.float64)
    for _ in range(3):
        field = (occupation.template.bonds @ field + field) / weight.max()
    return field


def cuts(occupation: Occupation, level: Floats) -> Iterator[Mask]:
    """The sites below the levels that give about the wanted sizes, ties together."""
    count = int(occupation.mask.sum())
    ordered = np.sort(level)
    for size in SIZES:
        wanted = round(size * count)
        if FEWEST_ATOMS <= wanted < len(level):
            yield level <= ordered[wanted - 1] + 1e-6


MOVES: tuple[Callable[[Occupation, np.random.Generator], Iterator[Mask]], ...] = (
    centre_moves,
    layer_moves,
    coordination_moves,
    orbit_moves,
    outline_moves,
)
"""Ways to change which sites are filled; each yields masks (S,) bool, and may draw random numbers."""


def fault_moves(occupation: Occupation) -> Iterator[Occupation]:
    """A fault put into, or taken out of, every inner layer of a close-packed particle; the layers keep their outlines."""
    for sequence, sites in stacks_of(occupation):
        word = stacking_word(sequence)
        words = {word[:k] + ("c" if word[k] == "h" else "h") + word[k + 1 :] for k in range(len(word))}
        words |= {word[:k] + swapped + word[k + 2 :] for k in range(len(word) - 1) for swapped in ("hh", "cc")}
        stack = LayerStack.of(sequence, sites)
        for other in sorted(words - {word}):
            wanted = sequence_of(other)
            if wanted[1:2] != sequence[1:2]:
                wanted = wanted.translate(str.maketrans("BC", "CB"))
            moved = restacked(stack, tuple(map("ABC".index, wanted)))
            found = assign_stack(moved.sequence, moved.sites, symbol=occupation.symbol, length=occupation.length)
            if found is not None:
                yield found


def all_moves(occupation: Occupation, rng: np.random.Generator) -> Iterator[Occupation]:
    """Every change of a particle, each once; kinds of change take turns, so that a small budget tries all of them."""
    seen: set[bytes] = set()
    yield from in_turn(*(_occupations(occupation, move(occupation, rng), seen) for move in MOVES), fault_moves(occupation))


def _occupations(occupation: Occupation, masks: Iterator[Mask], seen: set[bytes]) -> Iterator[Occupation]:
    for mask in masks:
        kept = usable(occupation, mask)
        if kept is not None and (mark := np.packbits(kept).tobytes()) not in seen:
            seen.add(mark)
            yield occupation.with_mask(kept)


def in_turn(*streams: Iterator[Moved]) -> Iterator[Moved]:
    """One of each in turn, until all have ended."""
    waiting = list(streams)
    while waiting:
        for stream in list(waiting):
            found = next(stream, None)
            if found is None:
                waiting.remove(stream)
            else:
                yield found


def joined(occupation: Occupation, better: list[Mask]) -> Iterator[Occupation]:
    """Changes that help one by one, made together: the best two, four, eight … of them."""
    count = 2
    while count <= len(better):
        mask = occupation.mask.copy()
        for other in better[:count]:
            changed: NDArray[np.bool_] = other != occupation.mask
            mask[changed] = other[changed]
        kept = usable(occupation, mask)
        if kept is not None:
            yield occupation.with_mask(kept)
        count *= 2
