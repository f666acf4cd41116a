"""How well any method can know the number of atoms from the curves that the model's sizes are measured on: the Cramér-Rao bound.

    python benchmarks/size_information.py [--curves 150] [--outlines 150]

Particles of fcc platinum with the numbers of atoms and the conditions of ``model_sizes.py`` (kinds ``measured`` and ``far``; ``clean`` has no
noise, and so no bound). That they are fcc is known. Not known are ln N, scale, zoom, U, delta2, strain, the slope of the line, Qdamp (the header's
value with an error of up to 0.008 Å⁻¹ either way) and the outline; of each only in what range it lies, as a normal distribution of the same
variance. F(Q) = Σ n_k γ(d_k) sin(Q d_k)/d_k exp(−σ²Q²/2); noise is white, a share of the RMS of G up to 10.9 nearest-neighbour distances. γ is a
sphere's plus what random bodies of the recipes ``large`` and ``larger`` differ from it on the mean, plus their six main ways to differ from that
mean. The standard deviation of ln N is at least the root of the inverse of the Fisher matrix with the ranges' added (van Trees, Detection,
Estimation, and Modulation Theory, part I (1968), ch. 2). Printed: the mean over curves of the probability that the best possible reading lies
within 5 %; the same for one who knows the outline, or Qdamp.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.model.coarse_view import sphere_decay
from deepstruc_hpc.structures.cubic import lattice_sites
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import standard_templates
from deepstruc_hpc.training.size_training import LONG_RANGE

NEAREST, ATOM_VOLUME = 2.77, 2.77**3 / np.sqrt(2.0)
"""Å and Å³ of platinum."""
CLASSES = ((20, 400, 6.5), (401, 1000, 9.0), (1001, 2000, 11.0))
"""Fewest and most atoms, and how far the template lattices reach from which outlines are drawn, nearest-neighbour distances."""
IRREGULAR = {"symmetric": 0.2, "off_centre": 0.95, "defective": 0.4}
"""As the recipe large draws its bodies."""
MODES = 6
"""Ways in which γ of bodies differs from their mean; the last of them by 0.001 where bodies have more than 400 atoms."""
RANGES = {"measured": (14.0, 30.0), "far": LONG_RANGE}
STEPS = {"ln N": 1e-3, "ln scale": 1e-3, "zoom": 1e-4, "uiso": 1e-4, "delta2": 1e-2, "strain": 1e-4, "slope": 1e-3, "qdamp": 1e-4}
MODE_STEP = 1e-3
NAMES = list(STEPS)
SHARES = np.linspace(0.02, 1.6, 80)
"""Of the diameter of the sphere with as many atoms, at which differences of γ are given."""
BLUR = 0.04
"""Over which the shells of a lattice are averaged, in the same unit."""
KNOWN = 1e12

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shells:
    """Neighbours of an atom in an endless crystal.

    Attributes:
        distance: (K,) Å.
        count: (K,).
    """

    distance: Array
    count: Array


@dataclass(frozen=True, eq=False)
class Outlines:
    """How γ of random bodies differs from a sphere's, over :data:`SHARES` of the diameter.

    Attributes:
        mean: (X,).
        modes: (K, X), each of unit length.
        spread: (K,) standard deviation along each.
    """

    mean: Array
    modes: Array
    spread: Array

    def gamma(self, share: Array, along: Array) -> Array:
        """γ at some shares of the diameter of a body that lies ``along`` (K,) from the mean."""
        return np.maximum(sphere(share) + np.interp(share, SHARES, self.mean + along @ self.modes, right=0.0), 0.0)


def sphere(share: Array) -> Array:
    """γ of a sphere at shares of its diameter."""
    return sphere_decay(share, np.ones(1))[0]


def shells() -> Shells:
    """Those of an atom in endless fcc up to 62 Å."""
    sites = lattice_sites("fcc", 62.0 / NEAREST, (0.0, 0.0, 0.0))
    apart = np.round(np.linalg.norm(sites, axis=1) * NEAREST, 4)
    distance, count = np.unique(apart[apart > 0.1], return_counts=True)
    return Shells(distance, count.astype(np.float64))


def outlines(sizes: tuple[int, int], radius: float, count: int, fcc: Shells) -> Outlines:
    """Of ``count`` random bodies of fcc: γ of a shell is the number of its pairs over that of endless fcc."""
    templates = [one for one in standard_templates(radius) if one.structure_type == "fcc"]
    source = RandomShapes(templates, RandomShapeSettings(min_atoms=sizes[0], max_atoms=sizes[1], **IRREGULAR), canonical=False)
    shell = fcc.distance / NEAREST
    edges = np.concatenate([[0.1], 0.5 * (shell[1:] + shell[:-1]), [shell[-1] + 0.1]])
    found = []
    for row in range(count):
        drawn = source.sample(item_rng(5, f"outline-{row}"))
        sites = templates[drawn.template].sites[drawn.mask]
        pairs = np.histogram(np.linalg.norm(sites[:, None] - sites[None], axis=2), edges)[0]
        share = shell / (2.0 * np.cbrt(3.0 * len(sites) / (np.sqrt(2.0) * 4.0 * np.pi)))
        near = np.exp(-0.5 * ((SHARES[:, None] - share) / BLUR) ** 2) * fcc.count
        found.append(near @ (pairs / (len(sites) * fcc.count) - sphere(share)) / near.sum(axis=1))
    rows = np.array(found)
    _, lengths, modes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return Outlines(rows.mean(axis=0), modes[:MODES], lengths[:MODES] / np.sqrt(count - 1))


def curve(values: dict[str, float], along: Array, body: Outlines, fcc: Shells, *, r: Array, q: Array) -> Array:
    """G(r) on (R,) points by a sum over (Q,) points."""
    diameter = 2.0 * (3.0 * np.exp(values["ln N"]) * ATOM_VOLUME / (4.0 * np.pi)) ** (1 / 3)
    gamma = body.gamma(fcc.distance / diameter, along)
    there = gamma > 0
    d, weight = fcc.distance[there] * values["zoom"], fcc.count[there] * gamma[there]
    width = 2.0 * values["uiso"] * np.maximum(1.0 - values["delta2"] / d**2, 0.05) + (values["strain"] * d) ** 2
    fq = (np.sin(np.outer(q, d)) / d * np.exp(-0.5 * np.outer(q**2, width))) @ weight
    g = 2.0 / np.pi * (q[1] - q[0]) * np.sin(np.outer(r, q)) @ fq * np.exp(-0.5 * (values["qdamp"] * r) ** 2)
    return np.asarray(np.exp(values["ln scale"]) * g + values["slope"] * r)


def even(width: float) -> float:
    """Inverse of the variance of an even distribution of a width."""
    return 12.0 / width**2


def deviations(sizes: tuple[int, int], rmax: float, body: Outlines, fcc: Shells, rng: np.random.Generator) -> tuple[float, float, float]:
    """Least standard deviation of ln N of one curve; the same where the outline is known, and where Qdamp is."""
    qmin, qmax = float(rng.uniform(0.5, 1.5)), float(rng.uniform(16.0, 28.0))
    values = {
        "ln N": float(rng.uniform(*np.log(sizes))),
        "ln scale": 0.0,
        "zoom": 1.0,
        "uiso": float(rng.uniform(0.003, 0.02)),
        "delta2": float(rng.uniform(0.0, 5.0)),
        "strain": float(rng.uniform(0.0, 0.01)),
        "slope": 0.0,
        "qdamp": float(rng.uniform(0.0, 0.06)),
    }
    along = rng.normal(size=MODES) * body.spread
    r, q = np.arange(2.0, rmax, np.pi / qmax), np.arange(qmin, qmax, 0.04)
    plain = curve(values, along, body, fcc, r=r, q=q)
    loudness = float(np.sqrt(np.mean(plain[r < 10.9 * NEAREST] ** 2)))
    slopes = []
    for name, step in STEPS.items():
        up, down = (curve({**values, name: values[name] + sign * step}, along, body, fcc, r=r, q=q) for sign in (1.0, -1.0))
        slopes.append((up - down) / (2.0 * step))
    for row in np.eye(MODES) * MODE_STEP:
        up, down = (curve(values, along + sign * row, body, fcc, r=r, q=q) for sign in (1.0, -1.0))
        slopes.append((up - down) / (2.0 * MODE_STEP))
    jacobian = np.column_stack(slopes) / max(float(rng.uniform(0.0, 0.06)) * loudness, 1e-6)
    ranges = {
        "ln N": even(np.log(sizes[1] / sizes[0])),
        "ln scale": 0.0,
        "zoom": even(0.016),
        "uiso": even(0.017),
        "delta2": even(5.0),
        "strain": even(0.01),
        "slope": even(2.0 * 0.15 * loudness / (10.9 * NEAREST)),
        "qdamp": even(0.016),
    }
    fisher = jacobian.T @ jacobian + np.diag(np.concatenate([[ranges[name] for name in NAMES], body.spread**-2]))
    outline, damping = fisher.copy(), fisher.copy()
    outline[np.diag_indices(len(fisher))] += np.where(np.arange(len(fisher)) < len(NAMES), 0.0, KNOWN)
    damping[NAMES.index("qdamp"), NAMES.index("qdamp")] += KNOWN
    plain_error, outline_error, damping_error = (float(np.sqrt(np.linalg.inv(one)[0, 0])) for one in (fisher, outline, damping))
    return plain_error, outline_error, damping_error


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=150)
    parser.add_argument("--outlines", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    fcc = shells()
    print("| curves | atoms | within 5 % at best | outline known | Qdamp known | median of the least standard deviation of ln N |")
    print("|---|---|---|---|---|---|")
    for fewest, most, radius in CLASSES:
        body = outlines((fewest, most), radius, options.outlines, fcc)
        for kind, ends in RANGES.items():
            rng = np.random.default_rng([options.seed, most])
            found = np.array([deviations((fewest, most), float(rng.uniform(*ends)), body, fcc, rng) for _ in range(options.curves)])
            within = erf(np.log(1.05) / (found * np.sqrt(2.0))).mean(axis=0)
            print(f"| {kind} | {fewest}–{most} | {within[0]:.0%} | {within[1]:.0%} | {within[2]:.0%} | {np.median(found[:, 0]):.3f} |", flush=True)


if __name__ == "__main__":
    main()
