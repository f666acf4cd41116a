"""How well any method can know the number of atoms from the curves that the model's sizes are measured on: the Cramér-Rao bound.

    python benchmarks/size_information.py [--curves 400]

A sphere of fcc platinum with the numbers of atoms and the conditions of ``model_sizes.py`` (kinds ``measured`` and ``far``; ``clean`` has no
noise, and so no bound). Everything is known but ln N, scale, zoom, U, delta2, strain, the slope of the line and Qdamp; of Qdamp the header's
value with an error of up to 0.008 Å⁻¹ either way. F(Q) = Σ n_k γ(d_k) sin(Q d_k)/d_k exp(−σ²Q²/2) with γ the shape function of the sphere; noise
is white, a share of the RMS of G up to 10.9 nearest-neighbour distances. The standard deviation of ln N is at least the root of the inverse of
the Fisher matrix (and, of Qdamp, of its prior). Particles whose outline is not known, as those of ``model_sizes.py``, can only be told less well.
Printed: the mean over curves of the probability that the best possible reading lies within 5 %; the same where Qdamp is known.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from deepstruc_hpc.structures.cubic import lattice_sites
from deepstruc_hpc.training.size_training import LONG_RANGE

NEAREST, ATOM_VOLUME = 2.77, 2.77**3 / np.sqrt(2.0)
"""Å and Å³ of platinum."""
QDAMP_ERROR = 0.008 / np.sqrt(3.0)
"""Standard deviation of an error that is even between -0.008 and 0.008 Å⁻¹."""
CLASSES = ((20, 400), (401, 1000), (1001, 2000))
RANGES = {"measured": (14.0, 30.0), "far": LONG_RANGE}
STEPS = {"ln N": 1e-3, "ln scale": 1e-3, "zoom": 1e-4, "uiso": 1e-4, "delta2": 1e-2, "strain": 1e-4, "slope": 1e-3, "qdamp": 1e-4}

Array = NDArray[np.float64]


def shells() -> tuple[Array, Array]:
    """Distances (Å) of an atom's neighbours in endless fcc up to 62 Å, and how many there are of each."""
    sites = lattice_sites("fcc", 62.0 / NEAREST, (0.0, 0.0, 0.0))
    apart = np.round(np.linalg.norm(sites, axis=1) * NEAREST, 4)
    distance, count = np.unique(apart[apart > 0.1], return_counts=True)
    return distance, count.astype(np.float64)


def curve(values: dict[str, float], r: Array, q: Array, distance: Array, count: Array) -> Array:
    """G(r) on (R,) points."""
    diameter = 2.0 * (3.0 * np.exp(values["ln N"]) * ATOM_VOLUME / (4.0 * np.pi)) ** (1 / 3)
    share = distance / diameter
    gamma = np.where(share < 1.0, 1.0 - 1.5 * share + 0.5 * share**3, 0.0)
    there = gamma > 0
    d, weight = distance[there] * values["zoom"], count[there] * gamma[there]
    width = 2.0 * values["uiso"] * np.maximum(1.0 - values["delta2"] / d**2, 0.05) + (values["strain"] * d) ** 2
    fq = (np.sin(np.outer(q, d)) / d * np.exp(-0.5 * np.outer(q**2, width))) @ weight
    g = 2.0 / np.pi * (q[1] - q[0]) * np.sin(np.outer(r, q)) @ fq * np.exp(-0.5 * (values["qdamp"] * r) ** 2)
    return np.asarray(np.exp(values["ln scale"]) * g + values["slope"] * r)


def deviations(n_atoms: float, rmax: float, rng: np.random.Generator, distance: Array, count: Array) -> tuple[float, float]:
    """Least standard deviation of ln N of one curve: with Qdamp known within its error, and known."""
    qmin, qmax = float(rng.uniform(0.5, 1.5)), float(rng.uniform(16.0, 28.0))
    values = {
        "ln N": float(np.log(n_atoms)),
        "ln scale": 0.0,
        "zoom": 1.0,
        "uiso": float(rng.uniform(0.003, 0.02)),
        "delta2": float(rng.uniform(0.0, 5.0)),
        "strain": float(rng.uniform(0.0, 0.01)),
        "slope": 0.0,
        "qdamp": float(rng.uniform(0.0, 0.06)),
    }
    r, q = np.arange(2.0, rmax, np.pi / qmax), np.arange(qmin, qmax, 0.04)
    plain = curve(values, r, q, distance, count)
    noise = float(rng.uniform(0.0, 0.06)) * float(np.sqrt(np.mean(plain[r < 10.9 * NEAREST] ** 2)))
    slopes = []
    for name, step in STEPS.items():
        up, down = ({**values, name: values[name] + sign * step} for sign in (1.0, -1.0))
        slopes.append((curve(up, r, q, distance, count) - curve(down, r, q, distance, count)) / (2.0 * step))
    jacobian = np.column_stack(slopes) / max(noise, 1e-6)
    fisher = jacobian.T @ jacobian + 1e-9 * np.eye(len(STEPS))
    known = fisher.copy()
    fisher[-1, -1] += QDAMP_ERROR**-2
    known[-1, -1] += 1e12
    return float(np.sqrt(np.linalg.pinv(fisher)[0, 0])), float(np.sqrt(np.linalg.pinv(known)[0, 0]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    distance, count = shells()
    print("| curves | atoms | within 5 % at best | the same, Qdamp known | median of the least standard deviation of ln N |\n|---|---|---|---|---|")
    for kind, ends in RANGES.items():
        for fewest, most in CLASSES:
            rng = np.random.default_rng([options.seed, most])
            found = np.array(
                [
                    deviations(float(np.exp(rng.uniform(np.log(fewest), np.log(most)))), float(rng.uniform(*ends)), rng, distance, count)
                    for _ in range(options.curves)
                ]
            )
            within = erf(np.log(1.05) / (found * np.sqrt(2.0))).mean(axis=0)
            print(f"| {kind} | {fewest}–{most} | {within[0]:.0%} | {within[1]:.0%} | {np.median(found[:, 0]):.3f} |", flush=True)


if __name__ == "__main__":
    main()
