"""The library of bodies by which sizes and lattices are read (:mod:`deepstruc_hpc.model.size_library`): made from random shapes, without training.

    python -m deepstruc_hpc.training.size_library --out run --unseen held_out.zarr --unseen large.zarr --unseen larger.zarr

Writes ``run/size_library.safetensors``, which :mod:`deepstruc_hpc.training.size_blend` and a checkpoint's size head read. Eight minutes of a core.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track
from scipy.ndimage import gaussian_filter1d

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.size_checkpoint import SIZE_LIBRARY
from deepstruc_hpc.model.size_library import BLUR, NODES, REACH, STEP, SizeLibrary, library_axis
from deepstruc_hpc.physics.histogram import pair_histograms
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.training.size_shapes import NN_DISTANCE, shapes_between
from deepstruc_hpc.training.size_training import SIZES, unseen_keys

Array = NDArray[np.float64]

BODIES = (14_000, 21_000)
"""Of the two ranges of sizes."""
WIDTH = 0.13
"""Standard deviation in ln N of the weights by which bodies count for a size."""
FEWEST, MOST = 20, 600
"""Bodies of a size: with fewer the library has none, and no more are looked at."""
WAYS = 10
"""In which bodies may differ from the mean of their size."""
SMOOTHEST = 3.3
"""Q, inverse nearest-neighbour distances, below which nothing counts: a whole particle's slow hump, which no measured range of Q holds."""
SEED = 101


def body_curves(structures: Iterable[Structure], nn_distance: float) -> NDArray[np.float32]:
    """(S, F) pairs at each distance over the distance, an atom: G without thermal motion and limits of Q, on the library's axis."""
    axis, found = library_axis(), []
    for structure in structures:
        sites = np.ascontiguousarray(structure.positions / nn_distance)
        across = 2.0 * float(np.linalg.norm(sites - sites.mean(axis=0), axis=1).max())
        bins = int(max(across, REACH) / STEP) + 10
        pairs = pair_histograms([sites], [np.zeros(len(sites), dtype=np.int64)], 1, STEP, bins, threads=1)[0, 0, : len(axis)]
        found.append(np.where(axis > 0.5, 2.0 * pairs / len(sites) / np.maximum(axis, 0.1), 0.0).astype(np.float32))
    return np.array(found)


def compared(curves: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same with peaks of the library's width and without slow parts."""
    axis, q = library_axis(), np.arange(0.01, SMOOTHEST, 0.02)
    peaks = gaussian_filter1d(curves / np.float32(STEP), BLUR / STEP, axis=1, mode="constant", truncate=5.0)
    sines = np.sin(np.outer(axis, q)).astype(np.float32)
    return np.asarray(peaks - (peaks @ sines) @ sines.T * np.float32(2.0 / np.pi * STEP * 0.02), dtype=np.float32)


def library_of(curves: NDArray[np.float32], n_atoms: NDArray[np.int64], lattices: NDArray[np.str_], ways: int = WAYS) -> SizeLibrary:
    """A library of bodies.

    About each size the curve of a body is a linear function of ln N, by weighted least squares, and what is left is the sum of ``ways`` principal
    components.

    Args:
        curves: (S, F), :func:`compared`.
        n_atoms: (S,).
        lattices: (S,).
        ways: K.
    """
    log_n, made = np.log(n_atoms), {}
    for lattice in sorted(set(lattices.tolist())):
        found = np.full((len(NODES), 1 + ways, curves.shape[1]), np.nan, dtype=np.float32)
        own = np.flatnonzero(lattices == lattice)
        for node, middle in enumerate(NODES.tolist()):
            weight = np.exp(-0.5 * ((log_n[own] - middle) / WIDTH) ** 2)
            chosen = np.flatnonzero(weight > 0.05)[:MOST]
            if len(chosen) < FEWEST:
                continue
            root = np.sqrt(weight[chosen])[:, None]
            line = np.stack([np.ones(len(chosen)), log_n[own][chosen] - middle], axis=1)
            rows = curves[own[chosen]].astype(np.float64)
            fitted = np.linalg.lstsq(line * root, rows * root, rcond=None)[0]
            left = (rows - line @ fitted) * root / np.sqrt(np.square(root).sum())
            power, vectors = np.linalg.eigh(left @ left.T)
            found[node, 0] = fitted[0]
            found[node, 1:] = vectors[:, np.argsort(power)[::-1][:ways]].T @ left
        made[lattice] = found
    return SizeLibrary(made)


def main(
    *,
    out: Annotated[Path, typer.Option(help="run directory")],
    unseen: Annotated[list[Path], typer.Option(help="catalog none of whose shapes is in the library")] = [],  # noqa: B006
    bodies: Annotated[tuple[int, int], typer.Option(help="bodies up to 400 atoms, and above")] = BODIES,
) -> None:
    """Make a library."""
    kept = frozenset(unseen_keys(unseen))
    parts, n_atoms, lattices = [], [], []
    for sizes, count in zip(SIZES, bodies, strict=True):
        for structure in track(islice(shapes_between(*sizes, SEED, kept), count), f"{sizes[0]} to {sizes[1]} atoms", total=count):
            parts.append(body_curves([structure], NN_DISTANCE))
            n_atoms.append(len(structure))
            lattices.append(lattice_of(structure.structure_type))
    out.mkdir(parents=True, exist_ok=True)
    library_of(compared(np.concatenate(parts)), np.array(n_atoms), np.array(lattices)).save(out / SIZE_LIBRARY)
    typer.echo(f"library    {out / SIZE_LIBRARY}, {(out / SIZE_LIBRARY).stat().st_size / 1e6:.1f} MB, {len(n_atoms)} bodies")


if __name__ == "__main__":
    typer.run(main)
