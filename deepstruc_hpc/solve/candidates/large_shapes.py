"""The list of large metal particles: every body at every size, with its pair distances, made once and kept in the cache folder."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.resources import cache_dir
from deepstruc_hpc.physics.nested_histograms import nested_histograms
from deepstruc_hpc.structures.large_bodies import LargeBody, atoms_in_sphere, large_bodies, multiplicities

REVISION = 1
"""Of what the file holds; one of another revision is not read."""
SMALLEST, LARGEST, GROWTH = 7.6, 27.2, 1.04
"""Diameters of the spheres of as many atoms, nearest-neighbour distances, and their ratio from one size to the next. 330 to 15,000 atoms: shipped
lists end at 400. Sizes between two of the list, 4 % apart, are found from the curve of Rw over the size, and built as they are asked for."""
STEP = 0.01
"""Bins of the histograms, nearest-neighbour distances: 0.03 Å."""
REACH = 26.0
"""Longest distance in them, nearest-neighbour distances: 65 Å for the shortest bonds of metals, 2.5 Å. Data that go on beyond count up to there."""


@dataclass(frozen=True, eq=False)
class LargeShapes:
    """S particles.

    Attributes:
        bodies: all of them.
        body: (S,) number of each particle's body.
        n_atoms: (S,).
        pairs: (S, B) float32 histogram of distances in nearest-neighbour distances, each pair once, over the number of atoms.
    """

    bodies: tuple[LargeBody, ...]
    body: NDArray[np.int64]
    n_atoms: NDArray[np.int64]
    pairs: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.body)


@lru_cache(maxsize=1)
def large_shapes() -> LargeShapes:
    """The list, from the cache folder where it was made before."""
    bodies = large_bodies()
    named = repr((REVISION, SMALLEST, LARGEST, GROWTH, STEP, REACH, bodies))
    place = cache_dir() / f"large-shapes-{blake2b(named.encode(), digest_size=6).hexdigest()}.npz"
    try:
        with np.load(place, allow_pickle=False) as kept:
            return LargeShapes(bodies, kept["body"], kept["n_atoms"], kept["pairs"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        pass
    parts = [_of_body(body) for body in bodies]
    body = np.repeat(np.arange(len(bodies)), [len(counts) for counts, _ in parts])
    made = LargeShapes(bodies, body, np.concatenate([counts for counts, _ in parts]), np.concatenate([pairs for _, pairs in parts]))
    _keep(place, made)
    return made


def _of_body(body: LargeBody) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Numbers of atoms and histograms of one body's particles; sizes of which one particle is the nearest count once."""
    diameters = SMALLEST * GROWTH ** np.arange(int(np.log(LARGEST / SMALLEST) / np.log(GROWTH)) + 1)
    wanted = np.array([atoms_in_sphere(body.structure_type, diameter) for diameter in diameters])
    return pairs_of(body, wanted[wanted >= body.fewest_atoms])


def pairs_of(body: LargeBody, n_atoms: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Particles of a body of about so many atoms, ascending: their different numbers of atoms, and their histograms as in :class:`LargeShapes`."""
    sites, counts = body.nested(n_atoms)
    counts = np.unique(counts)
    sites = sites[: counts[-1]]
    pairs = nested_histograms(sites, counts, multiplicities(sites, body.symmetry), step=STEP, n_bins=round(REACH / STEP))
    return counts, (pairs / counts[:, None]).astype(np.float32)


def _keep(place: Path, made: LargeShapes) -> None:
    """Put the file in its place whole, or not at all; without a writable folder the list is made anew each time."""
    content = io.BytesIO()
    np.savez(content, body=made.body, n_atoms=made.n_atoms, pairs=made.pairs)
    with contextlib.suppress(OSError, OutputError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, content.getvalue())
