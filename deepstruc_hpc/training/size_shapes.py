"""Particles of 13 to 3,000 atoms to train a size head on: random bodies over the templates, and twinned, faulted and listed ones of any size."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.large_bodies import LargeBody, large_bodies
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import TemplateLattice, standard_templates

METAL, NN_DISTANCE = "Pt", 2.77
"""Of all particles, Å: the metal of the catalog random_shapes, which training expands and shrinks."""
MIDDLE_SIZE = 400
"""The two pools of shapes meet here: up to the largest particle of the shipped model's catalog, and above."""
SMALL_RADIUS, LARGE_RADIUS = 6.5, 13.0
"""Reach of the template lattices' sites, nearest-neighbour distances: 400 and 3,000 atoms as an ellipsoid of aspect 1.8 lie within."""
BODIES_SHARE = 0.25
"""Of the particles above 400 atoms, bodies of :func:`large_bodies`: twins and faults inside a thick crystal, and the shapes that metals grow in."""
IRREGULAR = ((0.45, 0.6, 0.3), (0.3, 0.8, 0.35))
"""Shares of symmetric, off-centre and defective bodies of the small and of the large pool: a particle need not be a handsome one."""
KEY_DIGITS = 7
"""Digits after the point, in units of the nearest-neighbour distance, to which radii of gyration of equal shapes agree."""

Key = tuple[int, float]


def shape_key(positions: NDArray[np.floating], nn_distance: float) -> Key:
    """Number of atoms and radius of gyration (nearest-neighbour distances): equal for equal shapes, and hardly ever for others."""
    centred = (positions - positions.mean(axis=0)) / nn_distance
    return len(positions), round(float(np.sqrt((centred**2).sum(axis=1).mean())), KEY_DIGITS)


def shapes_between(fewest: int, most: int, seed: int, unseen: Collection[Key] = ()) -> Iterator[Structure]:
    """Endless particles of ``fewest`` to ``most`` atoms, the same for the same arguments, without those whose keys are ``unseen``.

    Args:
        fewest: atoms.
        most: atoms.
        seed: of the draws.
        unseen: keys of shapes that stay for tests.
    """
    large = most > MIDDLE_SIZE
    templates = standard_templates(LARGE_RADIUS if large else SMALL_RADIUS)
    symmetric, off_centre, defective = IRREGULAR[large]
    settings = RandomShapeSettings(min_atoms=fewest, max_atoms=most, symmetric=symmetric, off_centre=off_centre, defective=defective)
    source = RandomShapes(templates, settings, canonical=False)
    bodies = large_bodies() if large else ()
    number = 0
    while True:
        rng = item_rng(seed, f"size-shape-{fewest}-{most}-{number}")
        number += 1
        positions, kind = _drawn(source, templates, bodies, (fewest, most), rng)
        if fewest <= len(positions) <= most and shape_key(positions, 1.0) not in unseen:
            yield Structure.of_element(METAL, positions * NN_DISTANCE, kind, f"{kind} {number}")


def _drawn(
    source: RandomShapes, templates: Sequence[TemplateLattice], bodies: Sequence[LargeBody], sizes: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.float64], str]:
    if bodies and rng.random() < BODIES_SHARE:
        body = bodies[int(rng.integers(len(bodies)))]
        return body.particle(round(float(np.exp(rng.uniform(*np.log(sizes)))))), body.structure_type
    shape = source.sample(rng)
    return templates[shape.template].sites[shape.mask], templates[shape.template].structure_type
