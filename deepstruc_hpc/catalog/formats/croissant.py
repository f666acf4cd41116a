"""``croissant.json`` of a Parquet dataset: what is in its files, as machine learning tools and data search read it.

Source: MLCommons Croissant 1.1, https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from deepstruc_hpc.catalog.formats.parquet import DATA, GRID, arrow_schema
from deepstruc_hpc.catalog.formats.provenance import Options
from deepstruc_hpc.catalog.formats.selection import Selection
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.schema import COLUMN_ARRAYS

CROISSANT = "croissant.json"
CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_PARQUET = "application/x-parquet"
_AS_CR = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet format includes isArray isLiveDataset "
    "jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source subField transform"
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    **{word: f"cr:{word}" for word in _AS_CR.split()},
}
"""The specification's own context."""

_KINDS = {"string": "sc:Text", "int32": "cr:Int32", "double": "cr:Float64", "float": "cr:Float32", "uint8": "cr:UInt8"}


def croissant(selection: Selection, folder: Path, options: Options) -> dict[str, Any]:
    """The description of an exported folder as a JSON-LD document."""
    catalog, provenance = selection.catalog, options.provenance
    recipe = catalog.manifest.recipes[0]
    title = str(recipe.get("name"))
    structures = {"@id": "structures-files"}
    fields = [_field(one, structures) for one in arrow_schema(selection)]
    grid = {"fileObject": {"@id": GRID}, "extract": {"column": "r"}}
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": re.sub(r"\W+", "_", title, flags=re.ASCII),
        "description": f"{recipe.get('description') or title}: {len(selection)} structures with simulated pair distribution functions G(r), "
        f"made by deepstruc_hpc {__version__}",
        "url": f"urn:deepstruc:catalog:{catalog.content_hash}",
        "version": "1.0.0",
        "datePublished": datetime.now(UTC).date().isoformat(),
        "identifier": catalog.content_hash,
        "keywords": ["nanoparticles", "pair distribution function", "total scattering"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": GRID,
                "name": GRID,
                "contentUrl": GRID,
                "encodingFormat": _PARQUET,
                "sha256": sha256((folder / GRID).read_bytes()).hexdigest(),
            },
            {"@type": "cr:FileSet", **structures, "name": "structures-files", "encodingFormat": _PARQUET, "includes": f"{DATA}/*.parquet"},
        ],
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": "structures", "name": "structures", "key": {"@id": "structures/id"}, "field": fields},
            {
                "@type": "cr:RecordSet",
                "@id": "r",
                "name": "r",
                "description": "distances at which every pdf is given, Å",
                "field": [{"@type": "cr:Field", "@id": "r/r", "name": "r", "description": "Å", "dataType": "cr:Float64", "source": grid}],
            },
        ],
    }
    if provenance.licence:
        document["license"] = provenance.licence_url
    if provenance.authors:
        document["creator"] = [
            {"@type": "sc:Person", "name": name, **({"url": orcid, "sameAs": orcid} if orcid else {})} for name, orcid in provenance.people
        ]
    return document


def croissant_text(selection: Selection, folder: Path, options: Options) -> str:
    """The document as text."""
    return json.dumps(croissant(selection, folder, options), indent=1, ensure_ascii=False) + "\n"


def _field(column: Any, files: dict[str, str]) -> dict[str, Any]:
    """One column of the files."""
    import pyarrow as pa

    kind, shape = column.type, []
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        shape.append(str(kind.list_size) if pa.types.is_fixed_size_list(kind) else "-1")
        kind = kind.value_type
    array = {"isArray": True, "arrayShape": ",".join(shape)} if shape else {}
    meaning = {spec.name: f"{spec.meaning}{f', {spec.unit}' if spec.unit else ''}" for spec in COLUMN_ARRAYS}
    notes = {key.decode(): value.decode() for key, value in (column.metadata or {}).items()}
    description = ", ".join(notes[key] for key in ("meaning", "unit") if key in notes) or meaning.get(column.name)
    description = description or ("which set the structure is in" if column.name.startswith("split_") else f"parameter {column.name} of the shape")
    return {
        "@type": "cr:Field",
        "@id": f"structures/{column.name}",
        "name": column.name,
        "description": description,
        "dataType": _KINDS[str(kind)],
        "source": {"fileSet": files, "extract": {"column": column.name}},
        **array,
    }
