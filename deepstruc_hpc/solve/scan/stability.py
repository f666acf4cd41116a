"""What a scan over settings says: a row a PDF and point, and from these how far each answer can be trusted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from deepstruc_hpc.solve.scan.sweep_config import BASE, Point, SolveSweepConfig
from deepstruc_hpc.structures.lattices import lattice_of

USED = ("rmin", "rmax", "qmin", "qmax", "qdamp", "qbroad")
"""Settings that a file's header or a default fills in: their value is the one that was used."""
ANSWER = ("status", "structure_type", "n_atoms", "rw", "probability", "n_candidates", "seconds", "message")


@dataclass(frozen=True)
class Stability:
    """Two tables.

    Attributes:
        by_file: one row a PDF: the type most often found, the share of settings that find it, the spread of sizes and of Rw.
        by_setting: one row a PDF and setting: the same, over the points that vary this setting.
    """

    by_file: pd.DataFrame
    by_setting: pd.DataFrame


def answers(points: Iterable[tuple[Point, Path]], config: SolveSweepConfig) -> pd.DataFrame:
    """One row a PDF and point, read from the points' folders; a point without results has no rows.

    Returns:
        Columns ``file``, ``varied``, one a setting of the scan (the value that was used; lists as text), the answer, and ``point``.
    """
    rows = []
    for point, folder in points:
        for item in _items(folder):
            used = item.get("conditions") or {}
            values = {key: _plain(used.get(key, value) if key in USED else value) for key, value in point.values.items()}
            rows.append({"file": item["file"], "varied": point.varied, **values, **{name: item.get(name) for name in ANSWER}, "point": point.id})
    frame = pd.DataFrame(rows, columns=["file", "varied", *config.space, *ANSWER, "point"])
    return frame.astype({"n_atoms": "Int64", "rw": float, "probability": float}).sort_values("file", kind="stable", ignore_index=True)


def _items(folder: Path) -> list[dict[str, Any]]:
    try:
        items: list[dict[str, Any]] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["items"]
    except (OSError, ValueError, KeyError):
        return []
    return items


def _plain(value: Any) -> Any:
    return ",".join(f"{part:g}" if isinstance(part, int | float) else str(part) for part in value) if isinstance(value, list | tuple) else value


def stability(rows: pd.DataFrame, settings: Sequence[str]) -> Stability:
    """Both tables from the rows of :func:`answers`."""
    files = [_row(group) for _, group in rows.groupby("file", sort=True)]
    by_setting = []
    for name, group in rows.groupby("file", sort=True):
        for setting in settings:
            own = group[group["varied"].isin((BASE, setting)) if (group["varied"] == setting).any() else group["varied"].notna()]
            by_setting.append({"file": name, "setting": setting, **{key: value for key, value in _row(own).items() if key != "file"}})
    return Stability(pd.DataFrame(files), pd.DataFrame(by_setting))


def _row(group: pd.DataFrame) -> dict[str, Any]:
    """The most frequent type and how the others differ from it. fcc and octahedral are one crystal, so they also count as one lattice."""
    solved = group[group["status"] == "ok"]
    row: dict[str, Any] = {"file": group["file"].iloc[0], "settings": len(group), "solved": len(solved)}
    if solved.empty:
        return row
    types = solved["structure_type"].value_counts()
    lattices = solved["structure_type"].map(lattice_of).value_counts()
    atoms = solved["n_atoms"].astype(float)
    return row | {
        "structure_type": str(types.index[0]),
        "same_type": float(types.iloc[0] / len(group)),
        "same_lattice": float(lattices.iloc[0] / len(group)),
        "other_types": " ".join(f"{name}:{count}" for name, count in types.iloc[1:].items()),
        "n_atoms_median": float(atoms.median()),
        "n_atoms_min": int(atoms.min()),
        "n_atoms_max": int(atoms.max()),
        "n_atoms_std": float(atoms.std(ddof=0)),
        "rw_min": float(solved["rw"].min()),
        "rw_max": float(solved["rw"].max()),
        "probability_mean": float(solved["probability"].mean()),
    }
