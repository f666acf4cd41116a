"""Graphs of clusters: features that no rotation changes, batches cut without mixing."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.graphs import GraphTable, from_data, structure_graph, to_data
from deepstruc_hpc.structures.elements import nn_distance
from tests.model.clusters import clusters, icosahedron

AU = nn_distance("Au")


def test_the_centre_of_an_icosahedron_has_twelve_neighbours_and_shares_five_with_each():
    graph = structure_graph(icosahedron(shells=2), AU)
    centre = int(np.argmin(graph.nodes[:, 1]))
    from_centre = graph.edges[0] == centre
    assert graph.nodes[centre, 0] == pytest.approx(1.0)
    assert from_centre.sum() == 12
    assert graph.bonds[from_centre, 1] == pytest.approx(5 / 4)


def test_turning_and_moving_a_cluster_changes_no_feature():  # fails if coordinates leak into the features
    structure = icosahedron()
    turned = Structure(structure.symbols, Rotation.random(rng=7).apply(structure.positions.copy()) + np.array([3.0, -1.0, 2.0]))
    one, other = structure_graph(structure, AU), structure_graph(turned, AU)
    assert one.nodes == pytest.approx(other.nodes, abs=1e-5)
    order = [np.lexsort(graph.edges) for graph in (one, other)]
    assert np.array_equal(one.edges[:, order[0]], other.edges[:, order[1]])
    assert one.bonds[order[0]] == pytest.approx(other.bonds[order[1]], abs=1e-4)


def test_a_metal_makes_no_difference():  # fails if the scale is not divided out
    one, other = structure_graph(icosahedron("Au"), AU), structure_graph(icosahedron("Cu"), nn_distance("Cu"))
    assert one.nodes == pytest.approx(other.nodes, abs=1e-5)
    assert np.array_equal(one.edges, other.edges)


def test_a_batch_holds_the_same_graphs_with_their_numbers_moved():
    structures, units, _ = clusters()
    graphs = [structure_graph(structure, unit) for structure, unit in zip(structures[:6], units[:6], strict=True)]
    union, owner = GraphTable.of(graphs).take(np.array([4, 1, 4]))
    starts = np.cumsum([0, len(graphs[4].nodes), len(graphs[1].nodes)])
    assert np.array_equal(union.nodes, np.concatenate([graphs[4].nodes, graphs[1].nodes, graphs[4].nodes]))
    assert np.array_equal(union.edges, np.concatenate([graphs[i].edges + start for i, start in zip((4, 1, 4), starts, strict=True)], axis=1))
    assert np.array_equal(np.bincount(owner), [len(graphs[4].nodes), len(graphs[1].nodes), len(graphs[4].nodes)])


def test_a_structure_survives_the_way_through_torch_geometric():
    structure = icosahedron()
    data = to_data(structure, AU)
    back = from_data(data)
    assert data.num_nodes == 55
    assert data.edge_attr.shape == (data.edge_index.shape[1], 2)
    assert np.array_equal(back.positions, structure.positions)
    assert (back.symbols, back.structure_type, back.label) == (structure.symbols, structure.structure_type, structure.label)


def test_a_single_atom_is_a_graph_without_bonds():
    graph = structure_graph(Structure.of_element("Au", [[1.0, 2.0, 3.0]]), AU)
    assert graph.edges.shape == (2, 0)
    assert graph.nodes == pytest.approx(np.zeros((1, 3)))


def test_no_graph_of_nothing():
    with pytest.raises(StructureError, match="0 atoms"):
        structure_graph(Structure((), np.zeros((0, 3))), AU)
