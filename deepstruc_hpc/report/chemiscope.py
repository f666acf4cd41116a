"""``chemiscope.json.gz``: the catalog's map and the best candidates of a solved directory in the format of the chemiscope viewer.

The format: https://chemiscope.org/docs/getting-started/json-format.html. Every property has a value for every structure, so that any JSON reader
takes the file (chemiscope's own takes NaN, others do not).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.structure_files import read_structure
from deepstruc_hpc.report.results import BEST, FolderResult, PdfResult, clean_row

FILE = "chemiscope.json.gz"
CATALOG = "catalog"
NO_PLACE, POSTERIOR, SAMPLE = "mean of the PDF's prior", "mean of the posterior", "sampled point"
DIGITS = 3
"""Decimals of a position in Å."""

Entry = tuple[Structure, dict[str, Any]]


def write_chemiscope(results: FolderResult) -> Path | None:
    """Write the file of a solved directory.

    It holds the best candidates of every PDF as refined and, where a model was used and the catalog can still be opened, the catalog's shapes on the
    latent map. A shape's Rw is the lowest over the PDFs of the directory.

    Returns:
        The path, or None where there is no structure to write.

    Raises:
        OutputError: it cannot be written.
    """
    entries = [*_candidates(results), *_shapes(results)]
    if not entries:
        return None
    text = json.dumps(document(entries, results.directory.resolve().name), allow_nan=False, separators=(",", ":"))
    return write_atomically(results.directory / FILE, gzip.compress(text.encode(), mtime=0))


_PROPERTIES: Mapping[str, str] = {
    "kind": "candidate: refined for a PDF; catalog: a shape of the catalog",
    "pdf": "file that the candidate was fitted to; for a shape of the catalog the one that it fits best",
    "structure type": "as the catalog or the model names it",
    "atoms": "number of atoms; 0 for a bulk crystal, of which a piece is drawn",
    "Rw": "of the fit",
    "rank": "among the candidates of its PDF; 0 for a shape of the catalog",
    "probability": "of the candidate; 0 for a shape of the catalog",
    "z1": "first latent coordinate",
    "z2": "second latent coordinate",
    "place": "where the latent coordinates come from",
    "name": "shape or source",
}


def document(entries: list[Entry], name: str) -> dict[str, Any]:
    """Structures and properties as a chemiscope dataset."""
    has_map = any(values["z1"] != 0.0 or values["z2"] != 0.0 for _, values in entries)
    kept = [key for key in _PROPERTIES if has_map or key not in {"z1", "z2", "place"}]
    properties = {key: {"target": "structure", "values": [values[key] for _, values in entries], "description": _PROPERTIES[key]} for key in kept}
    x, y = ("z1", "z2") if has_map else ("atoms", "Rw")
    return {
        "meta": {"name": name, "description": f"Candidates and catalog shapes of a solved directory, written by deepstruc-hpc {__version__}."},
        "structures": [_structure(structure) for structure, _ in entries],
        "properties": properties,
        "settings": {
            "target": "structure",
            "map": {"x": {"property": x}, "y": {"property": y}, "z": {"property": ""}, "color": {"property": "Rw"}, "symbol": "structure type"},
            "structure": [{"bonds": False, "spaceFilling": True}],
        },
    }


def _structure(structure: Structure) -> dict[str, Any]:
    positions = np.round(structure.positions - structure.positions.mean(axis=0), DIGITS) + 0.0
    x, y, z = (axis.tolist() for axis in positions.T)
    return {"size": len(structure), "names": list(structure.symbols), "x": x, "y": y, "z": z}


def _candidates(results: FolderResult) -> Iterator[Entry]:
    for pdf in results.pdfs:
        if pdf.candidates is None:
            continue
        places, mean = _places(pdf)
        for _, line in pdf.candidates.head(BEST).iterrows():
            row = clean_row(line)
            structure = _read(pdf, row.get("file"))
            if structure is None or row.get("rw") is None:
                continue
            point, origin = _place(row, places, mean)
            yield structure, _values("candidate", pdf.name, row, point=point, origin=origin, name=str(row.get("label") or row.get("source") or ""))


def _shapes(results: FolderResult) -> Iterator[Entry]:
    """The catalog's shapes on the latent map; none where the catalog is gone or the tables do not name them."""
    tables = [(pdf.name, pdf.latent[pdf.latent["kind"] == CATALOG]) for pdf in results.pdfs if pdf.latent is not None and "catalog_id" in pdf.latent]
    shapes = pd.concat([table.assign(pdf=name) for name, table in tables]) if tables else pd.DataFrame()
    if shapes.empty:
        return
    fitted = shapes.dropna(subset=["rw", "catalog_id"]).sort_values("rw", kind="stable").drop_duplicates("catalog_id")
    structures = _read_catalog(results.run.get("catalog"), fitted["catalog_id"].astype(str).tolist())
    for _, line in fitted.iterrows():
        row = clean_row(line)
        structure = structures.get(str(row["catalog_id"]))
        if structure is not None:
            row["n_atoms"] = len(structure)
            yield structure, _values(CATALOG, str(row["pdf"]), row, point=(row["z1"], row["z2"]), origin=POSTERIOR, name=structure.label)


def _values(kind: str, pdf: str, row: Mapping[str, Any], *, point: tuple[float, float], origin: str, name: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "pdf": pdf,
        "structure type": str(row.get("structure_type") or "unknown"),
        "atoms": int(row.get("n_atoms") or 0),
        "Rw": round(float(row["rw"]), 5),
        "rank": int(row.get("rank") or 0),
        "probability": round(float(row.get("probability") or 0.0), 6),
        "z1": round(point[0], 4),
        "z2": round(point[1], 4),
        "place": origin,
        "name": name,
    }


def _places(pdf: PdfResult) -> tuple[dict[str, tuple[float, float]], tuple[float, float]]:
    """Latent points of the catalog's shapes by their id, and the prior's mean (the origin where there is no map)."""
    if pdf.latent is None:
        return {}, (0.0, 0.0)
    means = pdf.latent[pdf.latent["kind"] == "mean"]
    mean = (float(means["z1"].iloc[0]), float(means["z2"].iloc[0])) if len(means) else (0.0, 0.0)
    if "catalog_id" not in pdf.latent:
        return {}, mean
    shapes = pdf.latent[pdf.latent["kind"] == CATALOG]
    points = shapes[["z1", "z2"]].to_numpy(dtype=float).tolist()
    return {str(name): (first, second) for name, (first, second) in zip(shapes["catalog_id"], points, strict=True)}, mean


def _place(row: Mapping[str, Any], places: Mapping[str, tuple[float, float]], mean: tuple[float, float]) -> tuple[tuple[float, float], str]:
    try:
        first, second = (float(part) for part in str(row.get("latent") or "").replace(";", " ").split()[:2])
    except ValueError:
        known = places.get(str(row.get("catalog_id")))
        return (known, POSTERIOR) if known is not None else (mean, NO_PLACE)
    return (first, second), SAMPLE


def _read(pdf: PdfResult, file: Any) -> Structure | None:
    if not isinstance(file, str) or file not in pdf.files:
        return None
    try:
        return read_structure(pdf.path / file)
    except DeepstrucError:
        return None


def _read_catalog(store: Any, ids: list[str]) -> dict[str, Structure]:
    from deepstruc_hpc.data.catalog_store import Catalog

    if not isinstance(store, str):
        return {}
    try:
        catalog = Catalog.open(store)
        numbers = {str(name): index for index, name in enumerate(catalog.columns["id"])}
        wanted = [name for name in ids if name in numbers]
        return dict(zip(wanted, catalog.structures([numbers[name] for name in wanted]), strict=True))
    except (DeepstrucError, OSError):
        return {}
