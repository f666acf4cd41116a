"""How far F(Q) and G(r) are from diffpy.srreal's, family by family, over the 46 curves of tests/reference.

    python benchmarks/golden_agreement.py

The same pairs and form factors are used, see tests/reference/README.md. Columns: the plain double sum against the reference; the histogram path
behind ``simulate_fq`` and ``simulate_pdf`` (float64) against the plain double sum; G(r) on the reference's own grid, with its interpolation, against
it. All as part of the largest value of the reference.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepstruc_hpc.physics.debye import Atoms
from deepstruc_hpc.physics.form_factors import scattering_factors
from deepstruc_hpc.physics.transform import envelope, fq_to_gr

FILE = Path(__file__).resolve().parents[1] / "tests" / "reference" / "debye_srreal.npz"
SETTINGS = ["rstep", "qmin", "qmax", "qdamp", "qbroad", "delta1", "delta2", "scale", "used_qstep", "extendedrmin", "extendedrmax"]


def main() -> None:
    """Print the table."""
    with np.load(FILE) as stored:
        arrays = dict(stored)
    worst: dict[str, list[float]] = {}
    names = sorted({key.split("/")[0] for key in arrays} - {"lengths"})
    lengths = dict(zip(arrays["lengths/elements"].tolist(), arrays["lengths/b"].tolist(), strict=True))
    for name in names:
        data = {key.split("/")[1]: value for key, value in arrays.items() if key.startswith(name + "/")}
        errors = compare(data, lengths)
        row = worst.setdefault(family(data), [0.0, 0.0, 0.0, 0.0])
        row[0] += 1
        row[1:] = [max(old, new) for old, new in zip(row[1:], errors, strict=True)]
    print("| family | curves | F(Q) against the reference | histogram against the double sum | G(r) against the reference |")
    print("|---|---|---|---|---|")
    for kind, (count, *errors) in sorted(worst.items()):
        print(f"| {kind} | {count:.0f} | " + " | ".join(f"{error:.1e}" for error in errors) + " |")


def family(data: dict[str, np.ndarray]) -> str:
    """What a case is about: the first of these that holds."""
    settings = dict(zip(SETTINGS, data["settings"].tolist(), strict=True))
    symbols = {str(symbol) for symbol in data["symbols"]}
    if data["neutron"]:
        return "neutron"
    if (np.ndim(data["uiso"]) and len(np.unique(data["uiso"])) > 1) or (np.ndim(data["occupancy"]) and len(np.unique(data["occupancy"])) > 1):
        return "U per atom, occupancies"
    if settings["delta1"] or settings["delta2"] or settings["qbroad"]:
        return "delta1, delta2, Qbroad"
    if any(symbol.startswith("O") and not symbol.startswith("Os") for symbol in symbols):
        return "oxides"
    return "alloys" if len(symbols) > 1 else "one element"


def compare(data: dict[str, np.ndarray], lengths: dict[str, float]) -> tuple[float, float, float]:
    """The three differences of one case."""
    settings = dict(zip(SETTINGS, data["settings"].tolist(), strict=True))
    q, f, r, g = data["q"], data["f"], data["r"], data["g"]
    atoms = Atoms.of([str(symbol) for symbol in data["symbols"]], data["positions"], data["uiso"], data["occupancy"])
    factors = (
        np.stack([np.full(len(q), lengths[symbol]) for symbol in atoms.elements])
        if data["neutron"]
        else scattering_factors(atoms.elements, q, "xray")
    )
    widths = {name: settings[name] for name in ("qbroad", "delta1", "delta2")}
    kept = atoms.fq_exact(q, factors, between=(settings["extendedrmin"], settings["extendedrmax"]), **widths)
    exact = atoms.fq_exact(q, factors, **widths)
    by_histogram = np.abs(atoms.fq(q, factors, **widths) - exact).max() / np.abs(exact).max()
    step = settings["used_qstep"]
    cut = kept.copy()
    cut[: int(np.ceil(settings["qmin"] / step - 1e-8))] = 0.0
    count = 2 ** int(np.ceil(np.log2(max(len(cut), np.ceil(np.pi / (settings["rstep"] * step))))))
    grid = np.arange(count) * np.pi / (count * step)
    curve = np.interp(r, grid, fq_to_gr(cut, q, np.full(len(cut), step), grid)) * settings["scale"] * envelope(r, settings["qdamp"])
    return float(np.abs(kept - f).max() / np.abs(f).max()), float(by_histogram), float(np.abs(curve - g).max() / np.abs(g).max())


if __name__ == "__main__":
    main()
