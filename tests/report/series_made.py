"""A series as solve leaves it, made by formula: an oxide that turns into a growing metal while it is heated, with broken frames and nasty names."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepstruc_hpc.data.series_file import SeriesFile

R = np.arange(1.5, 30.0, 0.01)
NASTY = 'frame<img src=x onerror=alert(1)>_0500 & "q" <b>.gr'
BROKEN = {40: "G(r) is NaN in all rows.", 41: "G(r) is NaN in all rows.", 733: "G(r) is 0 in all 2850 rows."}
REFUSED = 300
MESSAGE = "<script>alert(2)</script> no structure explains the curve"


def _shells(sites: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    d2, counts = np.unique(np.round((sites**2).sum(axis=1), 6), return_counts=True)
    keep = (d2 > 0) & (d2 < 130)
    return np.sqrt(d2[keep]), counts[keep]


def _curve(lattice: float, diameter: float, sites: np.ndarray, width: float) -> np.ndarray:
    """Peaks at the distances of a lattice times the envelope of a sphere, minus a slope."""
    distances, counts = _shells(sites)
    distances = lattice * distances
    near = distances < min(diameter, R[-1] + 1)
    envelope = 1 - 1.5 * distances / diameter + 0.5 * (distances / diameter) ** 3
    peaks = [c * e / d * np.exp(-(((R - d) / width) ** 2)) for d, c, e in zip(distances[near], counts[near], envelope[near], strict=True)]
    density = (4 if len(sites) < len(_CELL) else 8) / lattice**3
    inside = np.clip(1 - 1.5 * R / diameter + 0.5 * (R / diameter) ** 3, 0, None) * (diameter > R)
    return sum(peaks, np.zeros_like(R)) - 4 * np.pi * density * width * np.sqrt(np.pi) * R * inside


_CELL = np.array([(i, j, k) for i in range(-24, 25) for j in range(-24, 25) for k in range(-24, 25)]) / 2.0
_PARITY = np.rint(2 * _CELL).astype(int).sum(axis=1) % 2
FCC, ROCK_SALT = _CELL[_PARITY == 0], _CELL


def made_curves(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Measured and calculated curves of n frames: rock salt up to two fifths, then fcc, growing."""
    basis = {name: _curve(lattice, 24.0, sites, 0.2) for name, lattice, sites in (("NiO", 4.18, ROCK_SALT), ("Ni", 3.53, FCC))}
    sizes = [_curve(3.53, diameter, FCC, 0.2) for diameter in np.linspace(15, 60, 12)]
    noise = np.random.default_rng(4)
    g, calculated = np.empty((n, len(R)), dtype=np.float32), np.empty((n, len(R)), dtype=np.float32)
    for i in range(n):
        share = shares(n)[i]
        grown = min(int(11.99 * growth(n)[i]), 11)
        fit = share * basis["NiO"] + (1 - share) * sizes[grown]
        calculated[i] = fit
        g[i] = fit + 0.08 * noise.normal(size=len(R)) + (0.25 * np.sin(1.9 * R) * np.exp(-R / 12) if 0.39 < i / n < 0.41 else 0.0)
    return g, calculated


def growth(n: int) -> np.ndarray:
    """0 to 1 over the second part of the series."""
    return np.clip((np.arange(n) / n - 0.4) / 0.6, 0, 1) ** 0.5


def shares(n: int) -> np.ndarray:
    """Weight share of the oxide."""
    return np.round(1 / (1 + np.exp((np.arange(n) / n - 0.45) / 0.02)), 3)


def made_table(n: int, names: dict[int, str] | None = None) -> pd.DataFrame:
    """``series.csv`` by its contract."""
    frame, oxide, rng = np.arange(n), shares(n), np.random.default_rng(5)
    mixed = (oxide > 0.02) & (oxide < 0.98)
    metal = oxide < 0.5
    diameter = np.where(metal, 15 + 45 * growth(n), 24.0) + 0.3 * rng.normal(size=n)
    at = frame / n
    columns = {
        "frame": frame, "file": [f"/data/run/frame_{i:04d}.gr" for i in frame], "order": frame * 1.0,
        "temperature": np.round(300 + 600 * at, 1), "time": frame * 2.0, "x": np.nan, "y": np.nan, "status": "ok", "message": "",
        "structure_type": np.where(metal, "fcc", "rock_salt"), "n_atoms": np.rint(0.06 * diameter**3),
        "rw": np.round(0.08 + 0.2 * oxide * (1 - oxide) + 0.004 * rng.random(n), 5),
        "probability": np.round(0.99 - 0.5 * np.exp(-(((at - 0.45) / 0.03) ** 2)), 3), "n_candidates": 900.0, "seconds": 0.05,
        "formula": np.where(metal, "Ni", "NiO"), "phase": np.where(metal, "fcc", "NiO rock salt"),
        "diameter": diameter, "diameter_low": diameter - 1.2, "diameter_high": diameter + 1.6, "size_spread": 0.0,
        "phases": [f"NiO {share:.2f}; Ni {1 - share:.2f}" if two else "" for share, two in zip(oxide, mixed, strict=True)],
        "flags": np.where(at > 0.95, "lower_bound; tail", ""), "type_smoothed_probability": 0.99,
        "change_point": 0.97 * np.exp(-(((frame - int(0.4 * n)) / 1.5) ** 2)), "how": np.where(frame % 100 == 0, "full", "warm"), "note": "",
        "scale": 0.9, "lattice": np.where(metal, 3.524, 4.178) + 0.06 * at, "lattice_err": 0.002, "uiso": 0.005 + 0.004 * at, "size_err": 0.8,
    }  # fmt: skip
    table = pd.DataFrame(columns)
    late = table["frame"] > 0.97 * n
    table.loc[late, "diameter_low"] = table.loc[late, "diameter"]
    table.loc[late, ["diameter", "diameter_high"]] = np.nan
    answers = ["n_atoms", "rw", "probability", "diameter", "diameter_low", "diameter_high", "size_spread", "scale", "lattice", "lattice_err", "uiso"]
    answers += ["size_err", "type_smoothed_probability"]
    for place, (state, message) in {**{i: ("failed", words) for i, words in BROKEN.items()}, REFUSED: ("refused", MESSAGE)}.items():
        if place < n:
            table.loc[place, answers] = np.nan
            table.loc[place, ["structure_type", "formula", "phase", "phases", "flags"]] = ""
            table.loc[place, ["status", "message", "how"]] = [state, message, "failed" if state == "failed" else "full"]
    for place, name in (names or {}).items():
        table.loc[place, "file"] = name
    return table


def made_changes(n: int) -> pd.DataFrame:
    rows = [
        (int(0.4 * n), 0.97, "phase", "Ni appears beside NiO"),
        (int(0.45 * n), 0.99, "type", "rock salt → fcc"),
        (int(0.5 * n), 0.91, "phase", "NiO is gone <b>& away</b>"),
    ]
    return pd.DataFrame(rows, columns=["frame", "probability", "kind", "text"])


def write_series(out: Path, n: int = 1000, names: dict[int, str] | None = None) -> Path:
    """Fill a directory with a series of n frames and return it."""
    g, calculated = made_curves(n)
    for place in BROKEN:
        if place < n:
            g[place] = np.nan if place < 100 else 0.0
            calculated[place] = np.nan
    with SeriesFile.create(out / "series.h5", R, n, {"qmax": 25.0, "composition": "Ni O"}) as series:
        for first in range(0, n, 100):
            series.put(first, g[first : first + 100], calculated[first : first + 100])
        series.finish(made_table(n, names), made_changes(n), units={"temperature": "K", "time": "s"})
    return out


def write_map(out: Path, rows: int = 10, columns: int = 12) -> Path:
    """A map of rows × columns frames, each diameter by its place; three frames of it broken."""
    n = rows * columns
    g, calculated = made_curves(n)
    table = made_table(n).drop(columns=["temperature", "time"])
    table["x"], table["y"] = 0.5 * (table["frame"] % columns), 0.5 * (table["frame"] // columns)
    size = 20 + 3 * np.sin(table["x"]) + table["y"]
    table["diameter"], table["diameter_low"], table["diameter_high"] = size, size - 1, size + 2
    table.loc[list(BROKEN)[:2], ["diameter", "diameter_low", "diameter_high"]] = np.nan
    with SeriesFile.create(out / "series.h5", R, n, {}) as series:
        series.put(0, g, calculated)
        series.finish(table, made_changes(n).iloc[:0], units={"x": "mm", "y": "mm"})
    return out
