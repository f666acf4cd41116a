"""The training view of a catalog: everything in memory, in units of the nearest-neighbour distance, batches by array arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.graphs import GraphArrays, GraphTable, structure_graph
from deepstruc_hpc.data.site_targets import SiteArrays, SiteTable

AtomOrder = Literal["builder", "radial"]


@dataclass(frozen=True, eq=False)
class BatchArrays:
    """One batch.

    Attributes:
        pdf: (B, 2, R) float32, standardised G and its mask.
        graphs: the union of the first K structures' graphs, K ≤ B.
        owner: (ΣN,) int64, the structure of each node.
        positions: (B, max_atoms, 3) float32, NN units, zero beyond the structure's atoms.
        n_graphs: K.
        n_atoms: (B,) int64.
        structure_type: (B,) int64.
        nn_distance: (B,) float32, Å.
        sites: what a decoder over sites should say, where the view has sites.
    """

    pdf: NDArray[np.float32]
    graphs: GraphArrays
    owner: NDArray[np.int64]
    n_graphs: int
    positions: NDArray[np.float32]
    n_atoms: NDArray[np.int64]
    structure_type: NDArray[np.int64]
    nn_distance: NDArray[np.float32]
    sites: SiteArrays | None = None


@dataclass(frozen=True, eq=False)
class SiteSource:
    """Where the sites of a batch come from.

    Attributes:
        table: template lattices and assignments of all structures.
        per_structure: sites evaluated of each structure.
        edge_share: share of them at the surface.
    """

    table: SiteTable
    per_structure: int
    edge_share: float

    def __call__(self, rows: NDArray[np.int64], rng: np.random.Generator) -> SiteArrays:
        """Targets of some rows."""
        return self.table.take(rows, rng, sites=self.per_structure, edge_share=self.edge_share)


class PdfSource(Protocol):
    """Where the PDFs of a batch come from."""

    def __call__(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """(B, 2, R) standardised PDFs of some rows."""


@dataclass(frozen=True, eq=False)
class TrainingView:
    """Structures of a catalog as the model is trained on them.

    Memory: 12 bytes × max_atoms a structure for positions, and about 16 bytes a bond and direction for the graphs: 1,000 structures of
    100 atoms take some 20 MB.

    Attributes:
        positions: (S, max_atoms, 3) float32.
        n_atoms: (S,) int64.
        structure_type: (S,) int64 into ``types``.
        nn_distance: (S,) float32, Å.
        graphs: of all structures.
        types: names of the structure types.
        pdfs: where PDFs come from.
        sites: where sites come from, for a decoder over sites.
    """

    positions: NDArray[np.float32]
    n_atoms: NDArray[np.int64]
    structure_type: NDArray[np.int64]
    nn_distance: NDArray[np.float32]
    graphs: GraphTable
    types: tuple[str, ...]
    pdfs: PdfSource
    sites: SiteSource | None = None

    @classmethod
    def of(
        cls,
        structures: Sequence[Structure],
        nn_distance: NDArray[np.floating],
        types: Sequence[str],
        pdfs: PdfSource,
        *,
        max_atoms: int,
        cutoff: float = 1.2,
        order: AtomOrder = "builder",
        sites: SiteSource | None = None,
        elements: bool = False,
    ) -> TrainingView:
        """Bring structures into memory.

        Args:
            structures: positions in Å.
            nn_distance: (S,) Å.
            types: names that ``structure_type`` may take, in the order of the model.
            pdfs: where PDFs come from.
            max_atoms: room for atoms.
            cutoff: reach of a bond, NN units.
            order: of atoms, see :func:`ordered_positions`.
            sites: where sites come from, for a decoder over sites.
            elements: the graphs tell the elements.
        """
        index = {name: number for number, name in enumerate(types)}
        positions = np.zeros((len(structures), max_atoms, 3), dtype=np.float32)
        for row, (structure, unit) in enumerate(zip(structures, nn_distance, strict=True)):
            positions[row, : len(structure)] = ordered_positions(structure, float(unit), order)
        return cls(
            positions=positions,
            n_atoms=np.array([len(structure) for structure in structures], dtype=np.int64),
            structure_type=np.array([index[structure.structure_type] for structure in structures], dtype=np.int64),
            nn_distance=np.asarray(nn_distance, dtype=np.float32),
            graphs=GraphTable.of(
                [
                    structure_graph(structure, float(unit), cutoff=cutoff, elements=elements)
                    for structure, unit in zip(structures, nn_distance, strict=True)
                ]
            ),
            types=tuple(types),
            pdfs=pdfs,
            sites=sites,
        )

    def __len__(self) -> int:
        return len(self.n_atoms)

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator, *, n_graphs: int | None = None) -> BatchArrays:
        """Structures by row, with PDFs under conditions drawn from ``rng``.

        Args:
            rows: of the catalog.
            rng: of the conditions.
            n_graphs: how many of them, from the first, get their graph; None for all.
        """
        seen = rows if n_graphs is None else rows[:n_graphs]
        graphs, owner = self.graphs.take(seen)
        return BatchArrays(
            pdf=self.pdfs(rows, rng),
            graphs=graphs,
            owner=owner,
            n_graphs=len(seen),
            positions=self.positions[rows],
            n_atoms=self.n_atoms[rows],
            structure_type=self.structure_type[rows],
            nn_distance=self.nn_distance[rows],
            sites=None if self.sites is None else self.sites(rows, rng),
        )


def ordered_positions(structure: Structure, nn_distance: float, order: AtomOrder) -> NDArray[np.float64]:
    """Positions about the centroid in NN units, (N, 3).

    ``builder`` keeps the order of the catalog, as the paper does. ``radial`` sorts by distance from the centroid, then z, y, x: sizes of one family
    then share their inner atoms' places in the list, which a decoder learns faster.
    """
    positions: NDArray[np.float64] = structure.positions / nn_distance
    positions = positions - positions.mean(axis=0)
    if order == "builder":
        return positions
    rounded = np.round(positions, 3) + 0.0
    radius = np.round(np.linalg.norm(positions, axis=1), 2)
    places = np.lexsort((rounded[:, 0], rounded[:, 1], rounded[:, 2], radius))
    return np.asarray(positions[places])
