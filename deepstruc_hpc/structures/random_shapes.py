"""Random compact clusters: spheres, ellipsoids and facetted bodies over template lattices, made on the fly for training.

A body is a level function over the template's sites: how far it must grow to hold a site. A cluster of about N atoms is the N sites of lowest level,
with every site that ties with the last, so bodies of any size cost the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.core.shapes import Bool, Float64, Int64
from deepstruc_hpc.structures.template_lattices import TemplateLattice

Mask = NDArray[np.bool_]
_RIM = 0.75


class RandomShapeSettings(Config):
    """What random clusters are like."""

    min_atoms: int = Field(default=13, ge=2, description="smallest number of atoms")
    max_atoms: int = Field(default=400, ge=2, description="largest number of atoms")
    sphere: float = Field(default=0.2, ge=0, description="weight of spheres")
    ellipsoid: float = Field(default=0.25, ge=0, description="weight of ellipsoids")
    facetted: float = Field(default=0.55, ge=0, description="weight of bodies bounded by the template lattice's facets")
    symmetric: float = Field(default=0.5, ge=0, le=1, description="share of facetted bodies whose equivalent facets lie equally far out")
    off_centre: float = Field(default=0.5, ge=0, le=1, description="share of bodies whose centre is not the template lattice's origin")
    max_shift: float = Field(default=0.35, ge=0, description="largest shift of a centre, in nearest-neighbour distances")
    defective: float = Field(default=0.3, ge=0, le=1, description="share of clusters with vacancies or an unfinished outer layer")
    max_vacancies: float = Field(default=0.06, ge=0, le=0.5, description="largest share of atoms taken out")
    max_aspect: float = Field(default=1.8, ge=1, description="largest ratio of the longest to the shortest axis of an ellipsoid")


@dataclass(frozen=True)
class RandomShape:
    """Which sites of which template lattice are filled.

    Attributes:
        template: index in the sequence of template lattices.
        mask: (S,) bool over that template lattice's sites, in its canonical representative where the sampler was told so.
        kind: sphere, ellipsoid or facetted.
    """

    template: int
    mask: Mask
    kind: str


class RandomShapes:
    """A seeded source of random clusters over template lattices, balanced over structure types.

    Args:
        templates: the template lattices to draw from.
        settings: kinds, sizes, defects.
        canonical: bring each mask to one representative under its template lattice's symmetry.
        type_weights: structure type → weight; equal where not given.
    """

    def __init__(
        self,
        templates: Sequence[TemplateLattice],
        settings: RandomShapeSettings | None = None,
        *,
        canonical: bool = True,
        type_weights: dict[str, float] | None = None,
    ) -> None:
        self.templates = tuple(templates)
        self.settings = settings or RandomShapeSettings()
        self.canonical = canonical
        if self.settings.min_atoms > self.settings.max_atoms:
            raise ConfigError(f"random shapes: min_atoms {self.settings.min_atoms} is more than max_atoms {self.settings.max_atoms}.")
        by_type: dict[str, list[int]] = defaultdict(list)
        for index, template in enumerate(self.templates):
            if _fewest_atoms(template) <= self.settings.max_atoms:
                by_type[template.structure_type].append(index)
        if not by_type:
            raise ConfigError(f"random shapes: no template lattice has a cluster of at most {self.settings.max_atoms} atoms.")
        self._types = [by_type[name] for name in by_type]
        weights = np.array([(type_weights or {}).get(name, 1.0) for name in by_type])
        self._type_probability = weights / weights.sum()
        kinds = np.array([self.settings.sphere, self.settings.ellipsoid, self.settings.facetted])
        self._kind_edges = np.cumsum(kinds / kinds.sum())

    def sample(self, rng: np.random.Generator, template: int | None = None) -> RandomShape:
        """One cluster of min_atoms to max_atoms atoms.

        Args:
            rng: where the numbers come from.
            template: index of the template lattice to use; drawn (type first, then template lattice) where not given.
        """
        for _ in range(200):
            index = template if template is not None else self._draw_template(rng)
            made = self._try(index, rng)
            if made is not None:
                return made
        raise ConfigError(
            f"random shapes: no cluster of {self.settings.min_atoms} to {self.settings.max_atoms} atoms fits the template lattices' radius."
        )

    def stream(self, seed: int, start: int = 0) -> Iterator[RandomShape]:
        """Endless clusters; number i depends on the seed and i alone."""
        number = start
        while True:
            yield self.sample(item_rng(seed, f"random-shape-{number}"))
            number += 1

    def _draw_template(self, rng: np.random.Generator) -> int:
        members = self._types[int(np.searchsorted(np.cumsum(self._type_probability), rng.random()).clip(0, len(self._types) - 1))]
        return members[int(rng.integers(len(members)))]

    def _try(self, index: int, rng: np.random.Generator) -> RandomShape | None:
        settings, template = self.settings, self.templates[index]
        kind = ("sphere", "ellipsoid", "facetted")[min(int(np.searchsorted(self._kind_edges, rng.random())), 2)]
        level = body_level(template, kind, settings, rng)
        limit = level[_rim(template)].min(initial=np.inf)
        if template.layer is not None:
            needed = _level_of_all_layers(template, level)
            fewest = max(settings.min_atoms, int(np.count_nonzero(level <= needed)))
        else:
            fewest = settings.min_atoms
        most = min(settings.max_atoms, int(np.count_nonzero(level < limit - 1e-9)))
        if fewest > most:
            return None
        wanted = round(float(np.exp(rng.uniform(np.log(fewest), np.log(most + 1)))))
        edge = np.partition(level, wanted - 1)[wanted - 1]
        mask = level <= edge + 1e-6
        if rng.random() < settings.defective:
            mask = _with_defects(template, mask, settings, rng)
        mask = without_dangling(template, mask)
        if not settings.min_atoms <= np.count_nonzero(mask) <= settings.max_atoms:
            return None
        if template.layer is not None and len(np.unique(template.layer[mask])) <= template.layer.max():
            return None
        return RandomShape(index, template.canonical(mask) if self.canonical else mask, kind)


def body_level(
    template: TemplateLattice, kind: str, settings: RandomShapeSettings, rng: np.random.Generator
) -> Float64[NDArray[np.float64], " sites"]:
    """How far a random body must grow to hold each site; (S,), in nearest-neighbour distances."""
    shift = np.zeros(3)
    if rng.random() < settings.off_centre:
        direction = rng.normal(size=3)
        shift = direction / np.linalg.norm(direction) * settings.max_shift * np.cbrt(rng.random())
    if kind == "sphere":
        sites = template.sites - shift
        level: NDArray[np.float64] = np.sqrt(np.einsum("si,si->s", sites, sites))
        return level
    if kind == "ellipsoid":
        return _ellipsoid_level(template.sites - shift, settings, rng)
    return _facetted_level(template, shift, settings, rng)


def _ellipsoid_level(sites: NDArray[np.float64], settings: RandomShapeSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    axes = np.exp(rng.uniform(0.0, np.log(settings.max_aspect), size=3))
    frame, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if rng.random() < 0.5:
        frame = np.eye(3)
    scaled = (sites @ frame) / axes
    level: NDArray[np.float64] = np.sqrt(np.einsum("si,si->s", scaled, scaled)) * np.cbrt(axes.prod())
    return level


def _facetted_level(
    template: TemplateLattice, shift: NDArray[np.float64], settings: RandomShapeSettings, rng: np.random.Generator
) -> NDArray[np.float64]:
    chosen = [normals for normals in template.facets if rng.random() < 0.75] or [template.facets[int(rng.integers(len(template.facets)))]]
    normals = np.concatenate(chosen)
    if rng.random() < settings.symmetric:
        reach = np.concatenate([np.full(len(family), rng.uniform(0.7, 1.4)) for family in chosen])
    else:
        base = np.concatenate([np.full(len(family), rng.uniform(0.75, 1.3)) for family in chosen])
        reach = base * np.exp(rng.normal(0.0, rng.uniform(0.05, 0.3), size=len(normals)))
    level: NDArray[np.float64] = ((template.sites - shift) @ (normals / reach[:, None]).T).max(axis=1)
    # A few facets alone may leave the body open; a wide sphere closes it.
    around = np.linalg.norm(template.sites - shift, axis=1) / rng.uniform(1.1, 1.6)
    level = np.maximum(level, around)
    if template.extra is not None and rng.random() < 0.4:
        level = np.maximum(level, (template.extra / rng.uniform(0.5, 1.0, size=template.extra.shape[1])).max(axis=1))
    return level


def _rim(template: TemplateLattice) -> Mask:
    """Sites next to the end of the template lattice's set: a body that holds one may be cut short."""
    if template.layer is not None:
        return np.hypot(template.sites[:, 0], template.sites[:, 1]) > template.radius - _RIM
    return template.distance > template.radius - _RIM


def _fewest_atoms(template: TemplateLattice) -> int:
    return 3 if template.layer is None else 3 * (int(template.layer.max()) + 1)


def _level_of_all_layers(template: TemplateLattice, level: NDArray[np.float64]) -> float:
    """The level at which every layer of a stack holds at least three atoms."""
    layers = template.layer
    if layers is None:
        return 0.0
    bottom, top = level[layers == 0], level[layers == layers.max()]
    return float(max(np.partition(bottom, 2)[2], np.partition(top, 2)[2])) + 1e-6


def _with_defects(template: TemplateLattice, mask: Mask, settings: RandomShapeSettings, rng: np.random.Generator) -> Mask:
    filled = np.flatnonzero(mask)
    damaged = mask.copy()
    if rng.random() < 0.5:
        count = int(rng.integers(0, max(1, int(settings.max_vacancies * len(filled))) + 1))
        damaged[rng.choice(filled, size=count, replace=False)] = False
    else:
        # An unfinished layer: part of what lies farthest out along a facet is missing.
        family = template.facets[int(rng.integers(len(template.facets)))]
        normal = family[int(rng.integers(len(family)))]
        height = template.sites[filled] @ normal
        outer = filled[height > height.max() - 0.3]
        across = template.sites[outer] @ rng.normal(size=3)
        damaged[outer[across > np.quantile(across, rng.random())]] = False
    return damaged


def without_dangling(template: TemplateLattice, mask: Bool[Mask, " sites"]) -> Bool[Mask, " sites"]:
    """An occupation without atoms that have fewer neighbours than the template lattice asks for, however many rounds that takes."""
    kept = np.zeros(len(mask), dtype=bool)
    kept[without_dangling_sites(template, np.flatnonzero(mask))] = True
    return kept


def without_dangling_sites(template: TemplateLattice, members: Int64[NDArray[np.int64], " members"]) -> Int64[NDArray[np.int64], " left"]:
    """The same for the numbers of the filled sites."""
    from deepstruc_hpc.structures.kernels import without_loose

    bonds = template.bonds
    kept: NDArray[np.int64] = members[without_loose(bonds.indptr, bonds.indices, members, template.min_neighbours)]
    return kept
