"""Hints for a curve without a composition."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.suggestions import suggest_elements, weighted_distances

R = np.arange(0.0, 12.0, 0.01)


def particle(name, radius=9.0):
    """A sphere cut from a built-in crystal."""
    crystal = prototype_crystal(name)
    cells = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = (crystal.fractions[None] + cells[:, None]).reshape(-1, 3) @ crystal.lattice
    symbols = np.array(list(crystal.main_element) * len(cells))
    inside = np.linalg.norm(positions, axis=1) <= radius
    return tuple(symbols[inside].tolist()), positions[inside]


@pytest.mark.parametrize("name", ["CeO2", "NiO", "TiO2 anatase", "CdSe zincblende"])
def test_the_crystal_that_a_curve_is_of_is_among_the_hints(name):
    symbols, positions = particle(name)
    assert name in suggest_elements(PdfCurve(R, simulate_pdf(symbols, positions, R, uiso=0.006)))


@pytest.mark.parametrize("symbol", ["Au", "Cu", "Pb"])
def test_the_metal_that_a_curve_is_of_is_among_the_hints(symbol):
    distance = nn_distance(symbol, "twelve")
    cells = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = cells[cells.sum(axis=1) % 2 == 0] * distance / np.sqrt(2)
    positions = positions[np.linalg.norm(positions, axis=1) < 2.5 * distance]
    words = suggest_elements(PdfCurve(R, simulate_pdf((symbol,) * len(positions), positions, R, uiso=0.006)))
    assert f"{symbol} (" in words
    assert words.startswith("A hint, not an answer")


def test_nothing_is_suggested_where_nothing_fits():
    assert "no metal and no built-in crystal" in suggest_elements(PdfCurve(R, np.sin(12.0 * R)))
    assert "nothing can be suggested" in suggest_elements(PdfCurve(R, np.zeros_like(R)))
    assert "nothing can be suggested" in suggest_elements(PdfCurve(R + 6.0, np.sin(R)))


def test_distances_of_rock_salt_and_their_weights():
    at, weight = weighted_distances(prototype_crystal("NiO"), 3.0)
    a = 4.1769
    assert at == pytest.approx([a / 2, a / np.sqrt(2)], abs=1e-3)
    nn, metal = 4 * 2 * 6 * 28 * 8 / at[0], (4 * 12 * 28**2 + 4 * 12 * 8**2) / at[1]
    assert weight == pytest.approx([nn, metal], rel=1e-3)
