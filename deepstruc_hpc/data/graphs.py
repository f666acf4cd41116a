"""Structures as graphs: bonds between near neighbours, features that no rotation changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.species import atomic_numbers

if TYPE_CHECKING:
    from torch_geometric.data import Data

NODE_FEATURES = 3
"""One more where elements are told."""
EDGE_FEATURES = 2


@dataclass(frozen=True, eq=False)
class GraphArrays:
    """One structure's graph in units of its nearest-neighbour distance.

    Attributes:
        nodes: (N, 3) float32: coordination number / 12, distance from the centroid / 4, its square / 16; with elements (N, 4), atomic number / 50.
        edges: (2, E) int64, both directions of every bond.
        bonds: (E, 2) float32: length − 1 times 10, common neighbours of the two atoms / 4.
    """

    nodes: NDArray[np.float32]
    edges: NDArray[np.int64]
    bonds: NDArray[np.float32]


def structure_graph(structure: Structure, nn_distance: float, *, cutoff: float = 1.2, elements: bool = False) -> GraphArrays:
    """Bonds between atoms nearer than ``cutoff`` nearest-neighbour distances, with invariant features.

    Common neighbours tell stackings apart (fcc bonds have four, icosahedral axes five), as in common-neighbour analysis
    (Honeycutt & Andersen, J. Phys. Chem. 91 (1987) 4950).

    Args:
        structure: positions in Å.
        nn_distance: Å.
        cutoff: reach of a bond in units of ``nn_distance``.
        elements: tell the atomic numbers, too.

    Raises:
        StructureError: when the structure has no atoms or ``nn_distance`` is not positive.
    """
    if len(structure) == 0 or nn_distance <= 0:
        raise StructureError(
            f"structure {structure.label!r}: {len(structure)} atoms, nearest-neighbour distance {nn_distance} Å: no graph can be made."
        )
    positions = structure.positions / nn_distance
    positions = positions - positions.mean(axis=0)
    pairs = cKDTree(positions).query_pairs(cutoff, output_type="ndarray").astype(np.int64)
    edges = np.concatenate([pairs, pairs[:, ::-1]]).T
    n_atoms = len(positions)
    bonded = csr_matrix((np.ones(edges.shape[1], dtype=np.float32), (edges[0], edges[1])), shape=(n_atoms, n_atoms))
    common = np.asarray((bonded @ bonded)[edges[0], edges[1]], dtype=np.float32).reshape(-1) if edges.size else np.zeros(0, dtype=np.float32)
    lengths = np.linalg.norm(positions[edges[0]] - positions[edges[1]], axis=1)
    radii = np.linalg.norm(positions, axis=1)
    coordination = np.bincount(edges[0], minlength=n_atoms)
    features = [coordination / 12.0, radii / 4.0, (radii / 4.0) ** 2]
    if elements:
        features.append(atomic_numbers(structure.symbols) / 50.0)
    return GraphArrays(
        nodes=np.stack(features, axis=1).astype(np.float32),
        edges=np.ascontiguousarray(edges),
        bonds=np.stack([(lengths - 1.0) * 10.0, common / 4.0], axis=1).astype(np.float32),
    )


@dataclass(frozen=True, eq=False)
class GraphTable:
    """Many graphs laid end to end; a batch is cut from it with array arithmetic alone.

    Attributes:
        nodes: (ΣN, 3) float32.
        edges: (2, ΣE) int32, counted within each graph.
        bonds: (ΣE, 2) float32.
        node_offsets: (S + 1,) int64.
        edge_offsets: (S + 1,) int64.
    """

    nodes: NDArray[np.float32]
    edges: NDArray[np.int32]
    bonds: NDArray[np.float32]
    node_offsets: NDArray[np.int64]
    edge_offsets: NDArray[np.int64]

    @classmethod
    def of(cls, graphs: Sequence[GraphArrays]) -> GraphTable:
        """Lay graphs end to end."""
        return cls(
            nodes=np.concatenate([graph.nodes for graph in graphs]),
            edges=np.concatenate([graph.edges for graph in graphs], axis=1).astype(np.int32),
            bonds=np.concatenate([graph.bonds for graph in graphs]),
            node_offsets=np.cumsum([0, *(len(graph.nodes) for graph in graphs)], dtype=np.int64),
            edge_offsets=np.cumsum([0, *(graph.edges.shape[1] for graph in graphs)], dtype=np.int64),
        )

    def take(self, rows: NDArray[np.int64]) -> tuple[GraphArrays, NDArray[np.int64]]:
        """The union of some graphs, and for each node the number of its graph (0 to len(rows) − 1)."""
        node_counts = self.node_offsets[rows + 1] - self.node_offsets[rows]
        edge_counts = self.edge_offsets[rows + 1] - self.edge_offsets[rows]
        node_index = _ranges(self.node_offsets[rows], node_counts)
        edge_index = _ranges(self.edge_offsets[rows], edge_counts)
        starts = np.cumsum(node_counts) - node_counts
        edges = self.edges[:, edge_index].astype(np.int64) + np.repeat(starts, edge_counts)
        owner = np.repeat(np.arange(len(rows), dtype=np.int64), node_counts)
        return GraphArrays(self.nodes[node_index], edges, self.bonds[edge_index]), owner


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers start … start + count − 1 of every pair, end to end."""
    ends = np.cumsum(counts)
    within = np.arange(ends[-1] if len(ends) else 0, dtype=np.int64)
    found: NDArray[np.int64] = within + np.repeat(starts - (ends - counts), counts)
    return found


def to_data(structure: Structure, nn_distance: float, *, cutoff: float = 1.2) -> Data:
    """A structure as a torch-geometric ``Data``: x, edge_index, edge_attr, pos (Å), and the structure's words."""
    import torch
    from torch_geometric.data import Data

    graph = structure_graph(structure, nn_distance, cutoff=cutoff)
    return Data(
        x=torch.from_numpy(graph.nodes),
        edge_index=torch.from_numpy(graph.edges),
        edge_attr=torch.from_numpy(graph.bonds),
        pos=torch.from_numpy(structure.positions.copy()),
        symbols=structure.symbols,
        structure_type=structure.structure_type,
        label=structure.label,
    )


def from_data(data: Data) -> Structure:
    """The structure that :func:`to_data` was given."""
    return Structure(tuple(data.symbols), data.pos.numpy(), data.structure_type, data.label)
