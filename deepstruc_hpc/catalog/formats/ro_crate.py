"""An RO-Crate: the Parquet dataset with what made it: recipe, hashes, versions, authors and licence.

Source: RO-Crate 1.1, https://www.researchobject.org/ro-crate/specification/1.1/. The building of the catalog and its export are two actions
(CreateAction) with the software that did them.
"""

from __future__ import annotations

import json
import mimetypes
from datetime import UTC, datetime
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

import yaml

from deepstruc_hpc.catalog.formats.parquet import DATA, GRID, ParquetDataset
from deepstruc_hpc.catalog.formats.provenance import Provenance
from deepstruc_hpc.catalog.formats.record import FOLDER_RECORD, REMEDY, ExportRecord
from deepstruc_hpc.catalog.formats.selection import Selection
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.version import __version__

METADATA, RECIPE = "ro-crate-metadata.json", "recipe.yaml"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
CONFORMS_TO = "https://w3id.org/ro/crate/1.1"
LIBRARIES = ("numpy", "scipy", "numba", "zarr", "pyarrow")
"""Those that make the numbers and the files."""

_MEDIA = {".parquet": "application/vnd.apache.parquet", ".yaml": "application/yaml", ".md": "text/markdown"}


class ResearchCrate(ParquetDataset):
    """A Parquet dataset that becomes a crate at its end."""

    def finish(self) -> None:
        """Write the dataset's own descriptions, the recipe and the crate's metadata."""
        super().finish()
        recipes = self.selection.catalog.manifest.recipes
        text = "\n---\n".join(yaml.safe_dump(json.loads(json.dumps(recipe)), sort_keys=False, allow_unicode=True) for recipe in recipes)
        write_atomically(self.folder / RECIPE, text, remedy=REMEDY)
        document = crate(self.selection, self.folder, self.options.provenance, self.record)
        write_atomically(self.folder / METADATA, json.dumps(document, indent=1, ensure_ascii=False) + "\n", remedy=REMEDY)


def crate(selection: Selection, folder: Path, provenance: Provenance, record: ExportRecord) -> dict[str, Any]:
    """The metadata document of a folder whose files are all there."""
    catalog = selection.catalog
    recipe = catalog.manifest.recipes[0]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    people = [_person(name, orcid) for name, orcid in provenance.people]
    agents = [{"@id": one["@id"]} for one in people]
    files = [_file(path, folder) for path in _crate_files(folder)]
    programs = {catalog.manifest.code_version, __version__}
    hashes = {"recipe hash": catalog.id, "content hash": catalog.content_hash}
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": str(recipe.get("name")),
        "description": f"{recipe.get('description') or recipe.get('name')}: {len(selection)} structures with simulated pair distribution functions",
        "datePublished": now,
        "license": {"@id": provenance.licence_url} if provenance.licence else "No licence is stated.",
        "identifier": [{"@id": f"#{name.replace(' ', '-')}"} for name in hashes],
        "hasPart": [{"@id": one["@id"]} for one in files],
        "mentions": [{"@id": "#build"}, {"@id": "#export"}],
        **({"author": agents} if agents else {}),
    }
    return {
        "@context": CONTEXT,
        "@graph": [
            {"@id": METADATA, "@type": "CreativeWork", "conformsTo": {"@id": CONFORMS_TO}, "about": {"@id": "./"}},
            root,
            *files,
            *people,
            *([_licence(provenance)] if provenance.licence else []),
            *({"@id": f"#{name.replace(' ', '-')}", "@type": "PropertyValue", "name": name, "value": value} for name, value in hashes.items()),
            *(_program("deepstruc_hpc", number) for number in sorted(programs)),
            *_libraries(),
            {
                "@id": "#build",
                "@type": "CreateAction",
                "name": "catalog build",
                "description": "structures and PDFs of the recipe, made in the store that was exported; libraries are not recorded there",
                "instrument": {"@id": f"#deepstruc_hpc-{catalog.manifest.code_version}"},
                "object": {"@id": RECIPE},
                "result": {"@id": "#content-hash"},
                **({"agent": agents} if agents else {}),
            },
            {
                "@id": "#export",
                "@type": "CreateAction",
                "name": "catalog export",
                "description": f"where: {selection.where.strip() or 'all structures'}; limit: {selection.limit or 'none'}; {record.done} structures",
                "endTime": now,
                "instrument": [{"@id": f"#deepstruc_hpc-{__version__}"}, *({"@id": one["@id"]} for one in _libraries())],
                "object": {"@id": "#content-hash"},
                "result": {"@id": "./"},
                **({"agent": agents} if agents else {}),
            },
        ],
    }


def _crate_files(folder: Path) -> list[Path]:
    """What belongs to the crate: no record of the export, and nothing hidden."""
    paths = [*sorted((folder / DATA).glob("*.parquet")), folder / GRID, *sorted(path for path in folder.iterdir() if path.is_file())]
    return [path for path in dict.fromkeys(paths) if path.name not in {FOLDER_RECORD, METADATA} and not path.name.startswith(".")]


def _file(path: Path, folder: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    return {
        "@id": path.relative_to(folder).as_posix(),
        "@type": "File",
        "name": path.name,
        "contentSize": str(path.stat().st_size),
        "encodingFormat": _MEDIA.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        "sha256": digest,
    }


def _person(name: str, orcid: str) -> dict[str, Any]:
    return {"@id": orcid or f"#{'-'.join(name.split())}", "@type": "Person", "name": name}


def _licence(provenance: Provenance) -> dict[str, Any]:
    return {"@id": provenance.licence_url, "@type": "CreativeWork", "name": provenance.licence}


def _program(name: str, number: str) -> dict[str, Any]:
    return {"@id": f"#{name}-{number}", "@type": "SoftwareApplication", "name": name, "version": number}


def _libraries() -> list[dict[str, Any]]:
    found = [_program("Python", python_version())]
    for name in LIBRARIES:
        try:
            found.append(_program(name, version(name)))
        except PackageNotFoundError:
            continue
    return found
