"""How a crystal's axes may change beside its volume: the homogeneous strains that its symmetry allows."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.structures import compound_types, crystal_templates
from deepstruc_hpc.structures.crystal_cut import crystal_named
from deepstruc_hpc.structures.template_lattices import TemplateLattice

_SAME = 1e-6
"""Singular values below it are rounding: operations are known to about 1e-9."""


def strain_basis(operations: Float64[NDArray[np.float64], "operations 3 3"]) -> Float64[NDArray[np.float64], "strains 3 3"]:
    """(K, 3, 3) symmetric strains without change of volume that a point group leaves alone, orthonormal.

    None for a cubic crystal, one (c/a) with one axis of three, four or six fold, two for an orthorhombic, three for a monoclinic and five for a
    triclinic one (Neumann's principle; Nye, Physical Properties of Crystals, 1957).

    Args:
        operations: (G, 3, 3) Cartesian.
    """
    whole = np.array([_symmetric(first, second) for first in range(3) for second in range(first, 3)])
    kept = np.einsum("gij,kjl,gml->kim", operations, whole, operations) / len(operations)
    kept -= np.einsum("kii->k", kept)[:, None, None] * np.eye(3) / 3.0
    _, sizes, rows = np.linalg.svd(kept.reshape(len(kept), 9))
    return np.asarray(rows[: len(sizes)][sizes > _SAME].reshape(-1, 3, 3))


def _symmetric(first: int, second: int) -> NDArray[np.float64]:
    tensor = np.zeros((3, 3))
    tensor[first, second] = tensor[second, first] = 1.0
    return tensor


KEPT = ("bonds", "unlike_bonds", "permutations")
"""What a lattice has worked out and a strain that its symmetry allows does not change."""


def strained_lattice(lattice: TemplateLattice, deformation: Float64[NDArray[np.float64], "3 3"]) -> TemplateLattice:
    """A template lattice with its sites deformed; bonds and symmetries stay those that it has.

    Args:
        lattice: of a crystal.
        deformation: takes each site, a row, to where it is.
    """
    sites = lattice.sites @ deformation
    sites.setflags(write=False)
    found = replace(lattice, sites=sites)
    vars(found).update({name: getattr(lattice, name) for name in KEPT})
    return found


@lru_cache(maxsize=128)
def strains_of(template: str) -> Float64[NDArray[np.float64], "strains 3 3"]:
    """The strains of the crystal that a template lattice is of, by its name; none of those of metals, whose shapes are fixed."""
    if template.startswith(compound_types.PREFIX):
        return strain_basis(compound_types.plain_crystal(compound_types.type_of(template)).point_operations)
    if template.startswith(crystal_templates.PREFIX):
        name = template.removeprefix(crystal_templates.PREFIX).rpartition(" about ")[0]
        return strain_basis(crystal_named(name).point_operations)
    return np.zeros((0, 3, 3))
