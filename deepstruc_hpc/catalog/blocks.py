"""Build one block: a pure function from plan to arrays, and the worker that writes what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.plan import PlannedBlock, PlannedStructure
from deepstruc_hpc.catalog.recipe import Recipe
from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.catalog_block import BlockContent
from deepstruc_hpc.data.catalog_index import store_block
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.manifest import BlockEntry
from deepstruc_hpc.data.schema import COLUMN_NAMES
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf_batch
from deepstruc_hpc.structures.families import family_named


def make_block(block: PlannedBlock, conditions: PdfConditions) -> BlockContent:
    """Structures, PDFs and columns of a planned block: the same bytes wherever it runs."""
    structures = [_build(planned) for planned in block.structures]
    pdf = simulated(structures, conditions)
    columns: dict[str, NDArray[Any]] = {**_columns(block, structures), **_parameters(block)}
    return BlockContent.of_structures(structures, pdf, columns)


def simulated(structures: list[Structure], conditions: PdfConditions) -> NDArray[np.float32]:
    """(S, R) Å⁻²: the PDFs of structures by the engine of the conditions."""
    instrument = Instrument(
        radiation=conditions.radiation, qmin=conditions.qmin, qmax=conditions.qmax, qdamp=conditions.qdamp, qbroad=conditions.qbroad
    )
    uiso, delta1, delta2 = conditions.uiso, conditions.delta1, conditions.delta2
    if conditions.engine == "native":
        return simulate_pdf_batch(structures, conditions.r, instrument, uiso=uiso, delta1=delta1, delta2=delta2)
    from deepstruc_hpc.physics.diffpy_engine import simulate_with

    curves = [simulate_with("diffpy", structure, conditions.r, instrument, uiso=uiso, delta1=delta1, delta2=delta2) for structure in structures]
    return np.stack(curves).astype(np.float32)


def check_engine(recipe: Recipe) -> None:
    """Refuse a recipe whose engine is not here, before anything is made.

    Raises:
        EngineError: saying what to install.
    """
    if recipe.pdf.engine == "native":
        return
    from deepstruc_hpc.physics.diffpy_engine import require_srreal

    try:
        require_srreal()
    except EngineError as missing:
        raise EngineError(f"recipe {recipe.name}: pdf: {missing}") from missing


class BlockBuilder:
    """What an actor holds: the store and the conditions. Takes a planned block, writes it, returns its entry for the manifest."""

    def __init__(self, store: str, conditions: PdfConditions) -> None:
        self._files = StoreFiles(store)
        self._conditions = conditions

    def __call__(self, item: PlannedBlock) -> BlockEntry:
        """Build and write one block."""
        with single_threaded():
            content = make_block(item, self._conditions)
        kinds = {name: "str" if values.dtype.kind in "OTU" else "float64" for name, values in content.columns.items() if name not in COLUMN_NAMES}
        return store_block(self._files, item.id, content, kinds)


def single_threaded() -> Any:
    """Keeps linear algebra on one thread: sums then run in the same order, and so to the same bits, whatever the number of workers."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def _build(planned: PlannedStructure) -> Structure:
    family = family_named(planned.shape.family)
    return family.build(planned.shape, planned.symbol, planned.nn_distance).centred()


def _columns(block: PlannedBlock, structures: list[Structure]) -> dict[str, NDArray[Any]]:
    planned = block.structures
    return {
        "id": _text([item.id for item in planned]),
        "structure_type": _text([structure.structure_type for structure in structures]),
        "family": _text([item.shape.family for item in planned]),
        "shape": _text([item.shape.name for item in planned]),
        "label": _text([structure.label for structure in structures]),
        "formula": _text([structure.formula for structure in structures]),
        "elements": _text(["-".join(structure.elements) for structure in structures]),
        "n_atoms": np.array([structure.n_atoms for structure in structures], dtype=np.int32),
        "nn_distance": np.array([item.nn_distance or smallest_distance(structure) for item, structure in zip(planned, structures, strict=True)]),
        "diameter": np.array([2.0 * float(np.sqrt((structure.positions**2).sum(axis=1).max())) for structure in structures]),
        "fingerprint": _text([item.fingerprint for item in planned]),
    }


def smallest_distance(structure: Structure) -> float:
    """Smallest distance between two atoms, Å; NaN for a single atom."""
    from scipy.spatial import cKDTree

    if structure.n_atoms < 2:
        return float("nan")
    distances = np.asarray(cKDTree(structure.positions).query(structure.positions, k=2)[0])
    return float(distances[:, 1].min())


def _parameters(block: PlannedBlock) -> dict[str, NDArray[Any]]:
    """One column a parameter of any shape in the block; a number becomes float64, everything else text."""
    rows: list[Mapping[str, Any]] = [item.shape.parameters for item in block.structures]
    names = sorted({name for row in rows for name in row})
    return {_column_name(name): _parameter(name, rows) for name in names}


def _column_name(name: str) -> str:
    return f"{name}_" if name in COLUMN_NAMES else name


def _parameter(name: str, rows: list[Mapping[str, Any]]) -> NDArray[Any]:
    values = [row.get(name) for row in rows]
    if all(value is None or isinstance(value, int | float) for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    return _text(["" if value is None else _written(value) for value in values])


def _written(value: Any) -> str:
    return "-".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)


def _text(values: list[str]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
