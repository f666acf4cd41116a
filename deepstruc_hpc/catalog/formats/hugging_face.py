"""The card of a Parquet dataset, ``README.md``: its head tells the Hugging Face hub and ``datasets.load_dataset`` which file is what."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

from deepstruc_hpc.catalog.formats.parquet import DATA, GRID, SETS
from deepstruc_hpc.catalog.formats.provenance import Options, Provenance
from deepstruc_hpc.catalog.formats.selection import Selection
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.schema import COLUMN_ARRAYS

CARD = "README.md"
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)
"""Classes of the hub's ``size_categories``, each with the number of rows below which it holds."""


def card_text(selection: Selection, options: Options, counts: Counter[str]) -> str:
    """The card as Markdown with a YAML head.

    Args:
        selection: what was exported.
        options: division that the files follow, licence and authors.
        counts: structures in each set.
    """
    catalog, provenance = selection.catalog, options.provenance
    recipes = catalog.manifest.recipes
    conditions = catalog.conditions.model_dump(mode="json")
    name = " + ".join(str(recipe.get("name")) for recipe in recipes)
    lines = [
        "---",
        yaml.safe_dump(_head(name, selection, counts, provenance), sort_keys=False, allow_unicode=True).strip(),
        "---",
        "",
        f"# {name}",
        "",
        *(str(recipe.get("description", "")) for recipe in recipes),
        "",
        f"{len(selection)} structures of nanoparticles with their simulated pair distribution functions G(r), made by deepstruc_hpc {__version__}.",
        *([f"Chosen by `{selection.where}`."] if selection.where.strip() else []),
        "",
        f"- recipe hash: `{catalog.id}`",
        f"- content hash of the catalog: `{catalog.content_hash}`",
        f"- licence of the data: {provenance.licence or 'none is stated'}",
        *([f"- authors: {', '.join(name for name, _ in provenance.people)}"] if provenance.authors else []),
        "",
        "## Load it",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'data = load_dataset("FOLDER_OR_NAME")',
        'row = data["train"][0]',
        'r = load_dataset("FOLDER_OR_NAME", "r")["train"]["r"]',
        "```",
        "",
        f'Or `pandas.read_parquet("{DATA}")`; DuckDB and Polars read `{DATA}/*.parquet`.',
        '`ase.Atoms(numbers=row["numbers"], positions=row["positions"])`',
        "is the structure.",
        "",
        "## Columns",
        "",
        "| column | unit | meaning |",
        "|---|---|---|",
        *(f"| `{spec.name}` | {spec.unit} | {spec.meaning} |" for spec in COLUMN_ARRAYS),
        "| `split_random` | | train, validation or test by a hash of the id: one shape in different metals may be on all sides |",
        "| `split_shape` | | the same by a hash of the fingerprint: a shape is on one side only, in whatever metal |",
        "| `split_prototype` | | the same by a hash of the structure type: no type is on two sides |",
        "| `numbers` | | atomic numbers, (N,) |",
        "| `positions` | Å | positions, (N, 3), about the centroid |",
        f"| `pdf` | Å⁻² | G(r) at the {len(catalog.r)} distances of `{GRID}` |",
        "| others | | parameters of the shapes; null where a shape has none |",
        "",
        f"The files follow `split_{options.split}`: {', '.join(f'{name} {counts[name]}' for name in SETS)}.",
        "",
        "## Conditions of the PDFs",
        "",
        "Lengths in Å, Q in Å⁻¹, Uiso in Å².",
        "",
        "| " + " | ".join(conditions) + " |",
        "|" + "---|" * len(conditions),
        "| " + " | ".join(str(value) for value in conditions.values()) + " |",
        "",
        "## Recipe",
        "",
        "```yaml",
        "\n---\n".join(yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True).strip() for recipe in recipes),
        "```",
        "",
    ]
    return "\n".join(lines)


def _head(name: str, selection: Selection, counts: Counter[str], provenance: Provenance) -> dict[str, Any]:
    files = [{"split": part, "path": f"{DATA}/{part}-*.parquet"} for part in SETS if counts[part]]
    return {
        "license": provenance.licence.lower() or "unknown",
        "pretty_name": name,
        "size_categories": [next((word for size, word in _SIZES if len(selection) < size), "n>1T")],
        "tags": ["chemistry", "materials-science", "nanoparticles", "pair-distribution-function", "total-scattering"],
        "configs": [
            {"config_name": "structures", "default": True, "data_files": files},
            {"config_name": "r", "data_files": GRID},
        ],
    }
