"""Every array that a catalog stores: the one table from which writer, reader and documentation derive.

A catalog is a Zarr v3 hierarchy::

    STORE/zarr.json                 root group: recipe, hashes, code version and the manifest (its attributes)
    STORE/r/                        the r grid of all PDFs
    STORE/blocks/<block>.zarr.zip   one immutable file a block, which holds a Zarr group: the arrays below, and in its group ``columns`` one array a
                                    column, with the parameters of the shapes
    STORE/index/*.parquet           all columns of all blocks once more, a part a range of blocks, for queries; can be made again
    STORE/plan/                     digest of the plan; while a build runs, the shapes that it listed
    STORE/README.md                 the catalog card
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FORMAT = "deepstruc_hpc catalog"
SCHEMA_VERSION = 2
"""Format of what is written: 1 had a folder a block, 2 has a file a block. docs/store-format.md describes both."""
READABLE_VERSIONS = (1, 2)
"""Formats that are read; a store of format 1 to which blocks are added holds both kinds and says 2."""

BLOCKS = "blocks"
COLUMNS = "columns"
INDEX = "index"
PLAN = "plan"
ROWS_PER_CHUNK = 128
"""Rows of ``pdf`` a chunk, not compressed; a block's chunks share one shard, in which the rows lie one after the other."""


@dataclass(frozen=True)
class ArraySpec:
    """One stored array.

    Attributes:
        name: of the array in its group.
        dims: names of its dimensions.
        dtype: NumPy's name, or ``str``.
        unit: ``Å``, ``Å⁻²`` or empty.
        meaning: one line.
        rows_per_chunk: rows a Zarr chunk; None for the whole array in one.
    """

    name: str
    dims: tuple[str, ...]
    dtype: Literal["float32", "float64", "int64", "int32", "uint8", "str"]
    unit: str
    meaning: str
    rows_per_chunk: int | None = None

    @property
    def chunk(self) -> str:
        """The chunk in words."""
        return "all" if self.rows_per_chunk is None else f"{self.rows_per_chunk} rows"


ROOT_ARRAYS = (ArraySpec("r", ("r",), "float64", "Å", "distances at which every PDF is given"),)

BLOCK_ARRAYS = (
    ArraySpec("positions", ("atom", "axis"), "float32", "Å", "positions of all atoms of the block, one structure after the other"),
    ArraySpec("species", ("atom",), "uint8", "", "atomic number of each atom"),
    ArraySpec("offsets", ("structure + 1",), "int64", "", "structure i owns the atoms offsets[i] to offsets[i + 1]"),
    ArraySpec("pdf", ("structure", "r"), "float32", "Å⁻²", "G(r) of each structure under the catalog's conditions", ROWS_PER_CHUNK),
)

COLUMN_ARRAYS = (
    ArraySpec("id", ("structure",), "str", "", "name of the structure: the same in every catalog that holds it"),
    ArraySpec(
        "structure_type", ("structure",), "str", "", "sc, bcc, fcc, hcp, decahedral, icosahedral, octahedral, stacking_fault or the recipe's own"
    ),
    ArraySpec("family", ("structure",), "str", "", "family of the recipe that made it"),
    ArraySpec("shape", ("structure",), "str", "", "name of the shape, without element"),
    ArraySpec("label", ("structure",), "str", "", "the structure in words"),
    ArraySpec("formula", ("structure",), "str", "", "elements in alphabetical order with counts"),
    ArraySpec("elements", ("structure",), "str", "", "distinct elements in alphabetical order, joined by -"),
    ArraySpec("n_atoms", ("structure",), "int32", "", "number of atoms"),
    ArraySpec("nn_distance", ("structure",), "float64", "Å", "smallest distance between two atoms"),
    ArraySpec("diameter", ("structure",), "float64", "Å", "largest distance of an atom from the centroid, twice"),
    ArraySpec("fingerprint", ("structure",), "str", "", "equal for shapes that differ only by rotation, reflection, order of atoms and scale"),
)

COLUMN_NAMES = tuple(spec.name for spec in COLUMN_ARRAYS)


def schema_table() -> str:
    """The stored arrays as a Markdown table, for the catalog card."""
    lines = ["| array | dimensions | dtype | unit | chunk | meaning |", "|---|---|---|---|---|---|"]
    groups = (("", ROOT_ARRAYS), (f"{BLOCKS}/*/", BLOCK_ARRAYS), (f"{BLOCKS}/*/{COLUMNS}/", COLUMN_ARRAYS))
    for prefix, specs in groups:
        lines += [
            f"| `{prefix}{spec.name}` | {', '.join(spec.dims)} | {spec.dtype} | {spec.unit} | {spec.chunk} | {spec.meaning} |" for spec in specs
        ]
    lines.append(
        f"| `{BLOCKS}/*/{COLUMNS}/<parameter>` | structure | float64 or str | | all | parameters of the shapes; NaN or empty where a shape has none |"
    )
    return "\n".join(lines)
