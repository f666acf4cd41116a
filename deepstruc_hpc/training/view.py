"""From a catalog and the settings to what the steps are fed with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import ConfigError, StoreError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.dataset import SiteSource, TrainingView
from deepstruc_hpc.data.site_targets import SiteTable
from deepstruc_hpc.data.splits import Split, shape_ids, split_rows
from deepstruc_hpc.data.training_pdfs import MeasuredLikePdfs, StoredPdfs
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.structures.assignment import SiteAssignment
from deepstruc_hpc.structures.compound_types import COMPOUND_TYPES, compound_template_names
from deepstruc_hpc.structures.crystal_templates import built_in_crystals, crystal_template_names
from deepstruc_hpc.structures.random_family import unpacked
from deepstruc_hpc.structures.template_lattices import TemplateLattice, standard_templates
from deepstruc_hpc.training.config import DataConfig, TrainConfig

UNIT_ERROR = 0.008
"""Of the first peak's position in a measured PDF of several elements, relative."""


def resolved_model(config: ModelConfig, catalog: Catalog) -> ModelConfig:
    """The model's settings with size and types from the catalog where they are left open.

    Raises:
        StoreError: the catalog is empty.
        ConfigError: the catalog holds larger structures, or other types, than the settings allow.
    """
    if len(catalog) == 0:
        raise StoreError(f"{catalog!r}: no structures, nothing to train on. Let the build finish first: deepstruc-hpc catalog build.")
    largest = int(catalog.columns["n_atoms"].max())
    types = tuple(sorted(catalog.columns["structure_type"].unique()))
    if config.max_atoms and config.max_atoms < largest:
        raise ConfigError(
            f"model.max_atoms: {config.max_atoms}, but the catalog holds structures of {largest} atoms. Set it to {largest} or more, or to 0."
        )
    strange = sorted(set(types) - set(config.structure_types or types))
    if strange:
        raise ConfigError(f"model.structure_types: the catalog also holds {', '.join(strange)}. Add them, or leave the key empty.")
    if config.given_elements:
        if missing := {"parent", "filled", "length"} - set(catalog.columns):
            raise ConfigError(f"model.given_elements: the catalog has no {', '.join(sorted(missing))}. Build one of the family random_compounds.")
        if not config.sites.template_lattices:
            named = compound_template_names([kind for kind in COMPOUND_TYPES if kind in types])
            config = config.updated(sites=config.sites.updated(template_lattices=named).model_dump())
        return config.updated(max_atoms=config.max_atoms or largest, structure_types=config.structure_types or types)
    elements = config.elements or (mixed_elements(catalog) if config.decoder == "sites" else ())
    if config.decoder == "sites" and not config.sites.template_lattices:
        names = [template.name for template in standard_templates(config.sites.radius, config.sites.max_layers)]
        for crystal in (*built_in_crystals(types), *config.sites.crystals):
            names += crystal_template_names(crystal)
        config = config.updated(sites=config.sites.updated(template_lattices=tuple(names)).model_dump())
    return config.updated(max_atoms=config.max_atoms or largest, structure_types=config.structure_types or types, elements=elements)


def mixed_elements(catalog: Catalog) -> tuple[str, ...]:
    """The elements of a catalog with structures of several, in alphabetical order; none where every structure is of one."""
    formulas = catalog.columns["elements"].astype(str).unique()
    sets = [formula.split("-") for formula in formulas]
    return tuple(sorted({symbol for symbols in sets for symbol in symbols})) if any(len(symbols) > 1 for symbols in sets) else ()


def load_view(catalog: Catalog, config: TrainConfig, *, stored_pdfs: bool | None = None, rows: NDArray[np.int64] | None = None) -> TrainingView:
    """Read a catalog into memory as the training sees it.

    Args:
        catalog: may still grow; what it held when it was opened is taken.
        config: with the model's settings resolved.
        stored_pdfs: take the catalog's own PDFs (True) or measured-like ones (False), whatever the settings say.
        rows: read these structures alone, to ask about them and not to train: without sites, and as they are, on a template lattice or on none.
    """
    chosen = np.arange(len(catalog)) if rows is None else rows
    structures = catalog.structures(chosen)
    nn_distance = catalog.columns["length" if config.model.given_elements else "nn_distance"].to_numpy(dtype=np.float64)[chosen]
    grid = config.model.grid.axis()
    stored = config.data.pdfs == "stored" if stored_pdfs is None else stored_pdfs
    sites = _sites(structures, catalog, config.model) if config.model.decoder == "sites" and rows is None else None
    different = shape_ids(catalog.columns.iloc[chosen])
    if sites is not None:
        structures, different = _with_stand_ins(structures, different, sites.table.template >= 0)
    pdfs = (
        StoredPdfs(
            np.asarray(catalog.r),
            np.asarray(catalog.pdf[chosen], dtype=np.float32),
            nn_distance.astype(np.float32),
            grid,
            catalog.conditions.qdamp,
            lengths=bool(config.model.elements),
            unit_error=UNIT_ERROR if config.model.elements else 0.0,
        )
        if stored
        else MeasuredLikePdfs.of(structures, nn_distance, different, grid, config.data.conditions, given_elements=config.model.given_elements)
    )
    return TrainingView.of(
        structures,
        nn_distance,
        config.model.structure_types,
        pdfs,
        max_atoms=max(config.model.max_atoms, int(catalog.columns["n_atoms"].max())),
        cutoff=config.model.encoder.cutoff,
        order=config.data.atom_order,
        sites=sites,
        elements=bool(config.model.elements),
    )


def _sites(structures: list[Structure], catalog: Catalog, config: ModelConfig) -> SiteSource:
    templates = config.sites.templates()
    if config.given_elements:
        table = SiteTable.of_assignments(catalog_assignments(catalog.columns, templates), len(structures), templates)
    else:
        table = SiteTable.of(structures, templates, config.elements)
    return SiteSource(table, config.sites.per_structure, config.sites.edge_share)


def catalog_assignments(columns: pd.DataFrame, templates: Sequence[TemplateLattice]) -> Iterator[SiteAssignment | None]:
    """The assignments that a catalog of the family ``random_compounds`` names, in one orientation as it lists them; None for those on other lattices.

    Args:
        columns: of the catalog, with ``parent`` and ``filled``.
        templates: of the model.
    """
    number = {template.name: place for place, template in enumerate(templates)}
    for name, filled, radius in zip(columns["parent"], columns["filled"], columns["radius"], strict=True):
        place = number.get(str(name))
        if place is None or templates[place].radius != radius:
            yield None
            continue
        yield SiteAssignment(place, unpacked(str(filled), len(templates[place])))


def _with_stand_ins(structures: list[Structure], shapes: list[str], usable: NDArray[np.bool_]) -> tuple[list[Structure], list[str]]:
    """The first usable structure in the place of every one that is on no template and will not be drawn: sheets and rods would blow up all tables."""
    first = int(np.flatnonzero(usable)[0])
    places = [row if usable[row] else first for row in range(len(structures))]
    return [structures[row] for row in places], [shapes[row] for row in places]


def load_split(catalog: Catalog, config: DataConfig, seed: int) -> Split:
    """The catalog's rows divided as the settings say."""
    return split_rows(catalog.columns, config.split, validation=config.validation, test=config.test, seed=seed)
