"""A directory as solve leaves it, made without solving anything: three answers, one refusal, one failure."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.structure_files import write_cif, write_xyz

TYPES = ("fcc", "decahedral", "icosahedral", "octahedral", "hcp", "bcc", "sc")
MESSAGE = "decahedral and fcc cannot be told apart: their probabilities are 0.55 and 0.41. </script><b>not bold</b>"


def sphere(n_atoms: int, symbol: str = "Au", structure_type: str = "fcc") -> Structure:
    """The atoms of an fcc crystal nearest to one of them."""
    grid = np.array([(i, j, k) for i in range(-7, 8) for j in range(-7, 8) for k in range(-7, 8) if (i + j + k) % 2 == 0]) * 2.04
    order = np.argsort((grid**2).sum(axis=1), kind="stable")
    return Structure.of_element(symbol, grid[order[:n_atoms]], structure_type, f"{symbol} sphere {n_atoms}")


def write_folder(out: Path, name: str, structure_type: str, n_atoms: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder = out / name
    folder.mkdir(parents=True)
    r = np.arange(2.0, 30.0, 0.01)
    calculated = np.exp(-((r / 14) ** 2)) * (3 * np.sin(2.7 * r) + np.sin(4.4 * r + seed))
    observed = calculated + 0.15 * rng.normal(size=len(r))
    pd.DataFrame({"r": r, "g_obs": observed, "g_calc": calculated, "difference": observed - calculated}).to_csv(folder / "fit.csv", index=False)
    rows = []
    for rank in range(1, 13):
        sort = structure_type if rank < 4 else TYPES[rank % len(TYPES)]
        count = n_atoms + 7 * (rank - 1)
        rows.append(
            {
                "rank": rank, "source": "cvae" if rank % 3 else "catalog", "structure_type": sort, "n_atoms": count, "formula": f"Au{count}",
                "rw": 0.12 + 0.01 * rank, "scale": 0.9, "zoom": 1.0 + 0.001 * rank, "uiso": 0.0061, "delta2": 2.4, "probability": 0.5 / rank,
                "catalog_id": "",
                "latent": "0.1;0.2", "label": f"Au {sort} {count}", "zoom_err": 0.0004, "uiso_err": 0.0002,
                "file": f"rank-{rank:03d}.xyz" if rank <= 10 else "",
            }
        )  # fmt: skip
        if rank <= 10:
            structure = sphere(count, structure_type=sort)
            write_xyz(structure, folder / f"rank-{rank:03d}.xyz")
            write_cif(structure, folder / f"rank-{rank:03d}.cif")
    pd.DataFrame(rows).to_csv(folder / "candidates.csv", index=False)
    shares = rng.dirichlet(np.ones(len(TYPES)) * 0.3)
    types = pd.DataFrame({"structure_type": TYPES, "probability": shares, "best_rw": 0.13 + 0.2 * rng.random(len(TYPES)), "best_n_atoms": 100})
    types.sort_values("probability", ascending=False).to_csv(folder / "types.csv", index=False)
    _latent(rng).to_csv(folder / "latent.csv", index=False)


def _latent(rng: np.random.Generator) -> pd.DataFrame:
    tables = [pd.DataFrame({"kind": ["mean"], "z1": [0.6], "z2": [-0.4], "std1": [0.11], "std2": [0.07]})]
    for kind, count, spread in (("catalog", 130, 0.35), ("sample", 40, 0.15)):
        for i, name in enumerate(TYPES):
            centre = 1.8 * np.array([np.cos(0.9 * i), np.sin(0.9 * i)]) if kind == "catalog" else np.array([0.6, -0.4])
            points = centre + spread * rng.normal(size=(count, 2))
            rw = 0.2 + rng.random(count) if kind == "sample" else np.nan
            tables.append(pd.DataFrame({"kind": kind, "z1": points[:, 0], "z2": points[:, 1], "structure_type": name, "rw": rw}))
    return pd.concat(tables, ignore_index=True)


def write_results(out: Path) -> Path:
    """Fill a directory and return it."""
    answers = [("Au_a", "decahedral", 105, 0.14), ("Au_b10", "fcc", 43, 0.31), ("Au_b9", "icosahedral", 55, 0.22)]
    rows = [
        {"file": f"/data/{name}.gr", "status": "ok", "message": MESSAGE if i == 0 else "", "structure_type": sort, "n_atoms": n, "rw": rw,
         "probability": 0.55 + 0.1 * i,
         "n_candidates": 1203, "seconds": 3.2, "folder": name}
        for i, (name, sort, n, rw) in enumerate(answers)
    ]  # fmt: skip
    for seed, (name, sort, n, _) in enumerate(answers):
        write_folder(out, name, sort, n, seed)
    rows.append(
        {"file": "/data/can.gr", "status": "refused", "message": "best Rw 0.93: no cluster of this world explains the curve.", "folder": "can"}
    )
    rows.append({"file": "/data/short.gr", "status": "failed", "message": "short.gr: G(r) runs from 0.01 to 0.5 Å in 50 points.", "folder": "short"})
    pd.DataFrame(rows).to_csv(out / "summary.csv", index=False)
    run = {"settings": {"samples": 1000, "sigma": [3.0, 5.0, 7.0], "rmin": 2.0}, "versions": {"deepstruc_hpc": "0.1.0"}, "model": "demo", "seed": 0}
    items = [{**row, "conditions": {"qmax": 26.0, "qmax_from": "header"}} for row in rows]
    (out / "summary.json").write_text(json.dumps({"schema": 1, "run": run, "items": items}))
    return out
