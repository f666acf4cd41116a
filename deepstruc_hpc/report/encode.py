"""Results as compact JSON for the page: numbers as 16-bit steps between the lowest and the highest, in base64."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.data.structure_files import read_structure
from deepstruc_hpc.report.results import BEST, PdfResult, clean_row
from deepstruc_hpc.report.words import words_of

STEPS = 65_534
MISSING = 65_535
MOST_SAMPLES = 1500
MOST_POINTS = 4000
MOST_DRAWN = 2500
"""Atoms of one structure that the page draws: what turns smoothly, ten at a time."""
_TEXT_ENDINGS = (".csv", ".json", ".png")


def pack(values: ArrayLike) -> dict[str, Any]:
    """Numbers as ``lo``, ``step`` and base64 of little-endian uint16; the error is at most half a step, 1/131068 of the range. NaN is kept."""
    array = np.asarray(values, dtype=np.float64).ravel()
    finite = np.isfinite(array)
    low, high = (float(array[finite].min()), float(array[finite].max())) if finite.any() else (0.0, 0.0)
    step = (high - low) / STEPS or 1.0
    codes = np.full(array.shape, MISSING, dtype="<u2")
    codes[finite] = np.rint((array[finite] - low) / step).astype("<u2")
    return {"lo": low, "step": step, "b": base64.b64encode(codes.tobytes()).decode("ascii")}


def pdf_document(pdf: PdfResult) -> dict[str, Any]:
    """Everything that the section of one PDF shows."""
    return {
        "row": {"name": pdf.name, **pdf.row},
        "words": words_of(pdf.row, pdf.details),
        "folder": pdf.folder,
        "fit": _fit(pdf.fit),
        "best": pdf.best(),
        "types": _rows(None if pdf.types is None else pdf.types.sort_values("probability", ascending=False, kind="stable")),
        "verify": _rows(pdf.verify),
        "mixture": _rows(pdf.mixture),
        "phases": _rows(pdf.phases),
        "diameters": _packed(pdf.sizes),
        "candidates": _candidates(pdf),
        "sizes": _sizes(pdf.candidates),
        "latent": _latent(pdf.latent),
        "details": pdf.details,
        "files": [name for name in pdf.files if name.endswith(_TEXT_ENDINGS) and not name.startswith(".")],
    }


def _rows(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    return [] if table is None else [clean_row(row) for _, row in table.iterrows()]


def _packed(table: pd.DataFrame | None) -> dict[str, Any] | None:
    return None if table is None or table.empty else {str(name): pack(table[name]) for name in table}


def _fit(fit: pd.DataFrame | None) -> dict[str, Any] | None:
    if fit is None or len(fit) < 2:
        return None
    thinned = fit.iloc[:: max(1, -(-len(fit) // MOST_POINTS))]
    return {name: pack(thinned[name]) for name in ("r", "g_obs", "g_calc", "g_term") if name in thinned}


def _candidates(pdf: PdfResult) -> list[dict[str, Any]]:
    if pdf.candidates is None:
        return []
    return [
        {**clean_row(row), "atoms": _atoms(pdf, row.get("file")), "links": _links(pdf, row.get("file"))}
        for _, row in pdf.candidates.head(BEST).iterrows()
    ]


def _sizes(candidates: pd.DataFrame | None) -> dict[str, Any] | None:
    """Number of atoms, Rw and type of the candidates that fit best, for the picture of Rw against size; crystals without an end have no size."""
    if candidates is None:
        return None
    sized = candidates.dropna(subset=["n_atoms", "rw"])
    if len(sized) < 2:
        return None
    shown = sized.nsmallest(MOST_POINTS, "rw")
    codes, types = pd.factorize(shown["structure_type"].fillna("").astype(str), sort=True)
    left_out = int(candidates["n_atoms"].isna().sum())
    names = [str(name) for name in types]
    return {"types": names, "type": pack(codes), "n_atoms": pack(shown["n_atoms"]), "rw": pack(shown["rw"]), "left_out": left_out}


def _links(pdf: PdfResult, file: Any) -> list[str]:
    """The candidate's files that exist: XYZ and CIF."""
    stem = str(file).rsplit(".", 1)[0]
    return [name for name in (f"{stem}.xyz", f"{stem}.cif") if name in pdf.files]


def _atoms(pdf: PdfResult, file: Any) -> dict[str, Any] | None:
    if not isinstance(file, str) or file not in pdf.files:
        return None
    try:
        structure = read_structure(pdf.path / file)
    except StructureError:
        return None
    centred = structure.positions - structure.positions.mean(axis=0)
    drawn = np.sort(np.argsort((centred**2).sum(axis=1), kind="stable")[:MOST_DRAWN])
    runs = [[symbol, len(list(group))] for symbol, group in groupby(structure.symbols[i] for i in drawn)]
    return {"symbols": runs, "xyz": pack(centred[drawn]), "drawn": len(drawn), "of": len(structure)}


def _latent(latent: pd.DataFrame | None) -> dict[str, Any] | None:
    if latent is None or latent.empty:
        return None
    table = latent.assign(structure_type=latent["structure_type"].fillna(""))
    samples = table[table["kind"] == "sample"].sort_values("rw", kind="stable").head(MOST_SAMPLES)
    means = [
        {key: row[key] for key in ("z1", "z2", "std1", "std2") if key in row}
        for _, r in table[table["kind"] == "mean"].iterrows()
        if (row := clean_row(r))
    ]
    return {"samples": _points(samples), "catalog": _points(table[table["kind"] == "catalog"]), "means": means}


def _points(table: pd.DataFrame) -> dict[str, Any]:
    codes, types = pd.factorize(table["structure_type"].astype(str), sort=True)
    return {
        "types": [str(name) for name in types],
        "type": pack(codes),
        "z1": pack(table["z1"]),
        "z2": pack(table["z2"]),
        "rw": pack(table["rw"]),
        "n": len(table),
    }


def to_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON that may stand within a script element: no NaN, and no ``</`` that could end it."""
    text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)
    return text.replace("</", "<\\/").replace("<!--", "<\\u0021--")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
