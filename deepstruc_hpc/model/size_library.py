"""The number of atoms and the lattice by Bayes' theorem: a library of what PDFs of random bodies of each size look like, fitted to a curve.

The library holds, for each lattice and for sizes 10 % apart, the mean PDF of random bodies and the main ways in which theirs differ from it: their
outlines, where their middles lie, which faults they have. A curve is a sum of these for some size, times a scale, with its own zoom, thermal motion,
strain, correlated motion, error of Qdamp and a sloping line. All but size, damping, zoom, U and strain are linear, and are integrated out with normal
priors; zoom, U and strain are found by Gauss-Newton steps at one size and their errors integrated out in the same way; dampings are tried one by one.
What is left is p(curve | size, lattice).

Only what lies between two limits of Q is compared, in which every curve has all its signal, so that neither Qmin, nor Qmax, nor a slow background
matters. Lengths are in nearest-neighbour distances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.signal import resample_poly

from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.data.standard_pdf import LEAST_ENVELOPE

Array = NDArray[np.float64]

STEP, REACH = 0.02, 22.4
"""Of the axis of d, and its end: elongated bodies of 2,000 atoms are 20 across."""
STORED_EACH = 3
"""Every third point of that axis is stored: π over that step is above the highest Q that is compared."""
NODES = np.arange(np.log(12.0), np.log(3200.0), 0.1)
"""ln N of the sizes."""
BLUR = 0.025
"""Width of the library's peaks: the smallest U of the training's, 0.003 Å², at the largest nearest-neighbour distance."""
SHARPEST = 0.012
"""Least width by which peaks are widened; below it the axis is too coarse."""
LOW, HIGH = 5.0, 38.6
"""Limits of Q, inverse nearest-neighbour distances: the training's highest Qmin, 1.5 Å⁻¹, at the largest metal, and its lowest Qmax, 16 Å⁻¹, at the
smallest."""
BEGIN, END = 0.3, 0.8
"""Over which the ends of a curve are faded in and out, so that what lies outside the limits of Q does not leak in."""
ZOOMS = np.arange(0.95, 1.0301, 0.002)
"""The first peak is off by up to 1 %, in icosahedra, whose bonds differ by 5 %, by more."""
ROUGH_WIDTHS = (0.03, 0.06)
"""Of peaks, at which zooms are compared."""
UISO, STRAIN, DELTA2 = 0.001, 0.004, 0.3
"""Where the steps begin, in squares of the nearest-neighbour distance; strain is a relative spread of distances."""
UISO_RANGE, STRAIN_RANGE, LEAST_STRAIN = (0.0002, 0.006), (0.0005, 0.014), 0.002
ERRORS = {"zoom": 0.003, "uiso": 0.0008, "strain": 0.004, "delta2": 0.3}
"""Standard deviations of what is integrated out."""
STEPS = 3
DAMPINGS = (0.0, 0.05, 0.09, 0.12, 0.15, 0.175)
"""Qdamp as it may have been taken out, in inverse nearest-neighbour distances: up to 0.06 Å⁻¹. Noise grows by it with r, and damping beyond a quarter
is left in."""
DAMPING_ERROR = 0.0134
"""Its standard deviation: an even error of up to 0.008 Å⁻¹ either way, at a nearest-neighbour distance of 2.9 Å."""
NOISE, LEAST_NOISE = 0.05, 0.010
"""Root mean square of noise, in units of that of the curve: where estimates begin; and the least, which bodies leave that are like none of the
library."""
MISSING = 1e-6
"""Inverse variance of a parameter of which nothing is known."""
FAINT = 60.0
"""Nats below the best size beyond which no difference counts."""


@dataclass(frozen=True, eq=False)
class SizeLibrary:
    """Mean PDFs of bodies of each size, and how theirs differ.

    Attributes:
        curves: of each lattice, (J, 1 + K, F) float32 on the axis of d: the mean, and K ways to differ from it, each of one standard deviation. NaN
            where there are no bodies of a size.
    """

    curves: Mapping[str, NDArray[np.float32]]

    @cached_property
    def axis(self) -> Array:
        """(F,) d."""
        return library_axis()

    def log_evidence(self, r: Array, g: Array, lattice: str, log_n: float) -> Array:
        """(J,) ln p(curve | ln N, lattice) at :data:`NODES`, up to a constant of the curve; −∞ where the library has no bodies.

        Args:
            r: (R,) in multiples of the first peak, even steps, where the curve is known.
            g: (R,) G without the instrument's damping, over its RMS.
            lattice: one of the library's.
            log_n: ln N about which zoom, U and strain are looked for.
        """
        return _Reading(self, r, g, lattice).log_evidence(log_n)

    @staticmethod
    def moments(log_evidence: Array) -> tuple[float, float]:
        """Mean and standard deviation of ln N for (J,) logarithms of evidence; every ln N counts alike."""
        known = np.isfinite(log_evidence)
        nodes = NODES[known]
        fine = np.arange(nodes[0], nodes[-1], 0.004)
        value = CubicSpline(nodes, np.maximum(log_evidence[known] - log_evidence.max(), -FAINT))(fine)
        share = np.exp(value - value.max())
        share /= share.sum()
        mean = float(share @ fine)
        return mean, float(np.sqrt(share @ (fine - mean) ** 2))

    def save(self, path: Path) -> None:
        """Write it, half precision and every third point."""
        stored = {}
        for lattice, curves in self.curves.items():
            known = np.where(np.isfinite(curves), curves, 0.0)
            stored[lattice] = np.ascontiguousarray(resample_poly(known, 1, STORED_EACH, axis=2), dtype=np.float16)
            stored[f"{lattice}.there"] = np.isfinite(curves[:, 0, 0])
        temporary = path.with_suffix(".part")
        save_file(stored, temporary, metadata={"format": "np"})
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> SizeLibrary:
        """Read it.

        Raises:
            CheckpointError: it is damaged.
        """
        curves, points = {}, len(library_axis())
        try:
            with safe_open(path, framework="numpy") as stored:
                for lattice in (name for name in stored.keys() if not name.endswith(".there")):  # noqa: SIM118
                    full = resample_poly(stored.get_tensor(lattice).astype(np.float64), STORED_EACH, 1, axis=2)[:, :, :points]
                    full[~stored.get_tensor(f"{lattice}.there")] = np.nan
                    curves[lattice] = full.astype(np.float32)
        except (OSError, SafetensorError, ValueError) as broken:
            raise CheckpointError(
                f"{path}: cannot be read ({str(broken).splitlines()[0]}). The size head is damaged; remove its files, which begin with size_."
            ) from broken
        return cls(curves)


def library_axis() -> Array:
    """(F,) d at which libraries are given."""
    return np.asarray(STEP * np.arange(round(REACH / STEP) + 1), dtype=np.float64)


class _Reading:
    """One curve and one lattice of a library."""

    def __init__(self, library: SizeLibrary, r: Array, g: Array, lattice: str) -> None:
        points = min(len(library.axis), int((1.06 * r[-1] + 0.6) / STEP))
        self.r, self.g, self.d = r, g, library.axis[:points]
        curves = library.curves[lattice][:, :, :points].astype(np.float64)
        self.there = np.flatnonzero(np.isfinite(curves[:, 0]).all(axis=1))
        self.curves = curves[self.there]
        self.waves = _waves(len(r), float(r[0]), float(r[-1]))
        near = 1.0 / np.maximum(self.d, 0.5) ** 2
        self.sharpening = np.maximum(1.0 - DELTA2 * near, 0.05)
        self.near = near

    def log_evidence(self, log_n: float) -> Array:
        """See :meth:`SizeLibrary.log_evidence`."""
        about = int(np.abs(NODES[self.there] - log_n).argmin())
        zoom, uiso, strain, power = self._found(about)
        changed = self._changed(self.curves, zoom, uiso, strain)
        evidence = np.full(len(NODES), -np.inf)
        evidence[self.there] = np.logaddexp.reduce([self._evidence(changed, damping, power) for damping in DAMPINGS], axis=0)
        return evidence

    def _rough_zoom(self, mean: Array) -> float:
        """At which the mean of a size resembles the curve most."""
        data = self.waves @ self.g
        best = (-np.inf, 1.0)
        for width in ROUGH_WIDTHS:
            wide = gaussian_filter1d(mean, width / STEP, mode="constant")
            shown = self.waves @ np.stack([np.interp(self.r * zoom, self.d, wide) for zoom in ZOOMS], axis=1)
            along = data @ shown
            gain = along * np.abs(along) / np.square(shown).sum(axis=0)
            best = max(best, (float(gain.max()), float(ZOOMS[gain.argmax()])))
        return best[1]

    def _found(self, about: int) -> tuple[float, float, float, float]:
        """Zoom, U, strain and the mean square of noise at one size, by Gauss-Newton steps."""
        zoom, uiso, strain, power = self._rough_zoom(self.curves[about, 0]), UISO, STRAIN, NOISE**2
        true, seen = _dampings(self.r, DAMPINGS[2])
        data = self.waves @ (self.g * seen)
        for _ in range(STEPS):
            changed = self._changed(self.curves[about : about + 1], zoom, uiso, strain)
            design = self._design(changed, true, seen)[0]
            scale = max(abs(float(design[:, 0] @ data) / float(design[:, 0] @ design[:, 0])), 1e-9)
            normal = design.T @ design + power * np.diag(_inverse_variances(DAMPINGS[2], design.shape[1]) / scale**2)
            found = np.linalg.solve(normal, design.T @ data)
            power = max(float(np.square(data - design @ found).mean()), LEAST_NOISE**2)
            moved = found[1:4] / found[0]
            zoom += ERRORS["zoom"] * float(np.clip(moved[0], -3.0, 3.0))
            uiso = float(np.clip(uiso + ERRORS["uiso"] * np.clip(moved[1], -1.5, 1.5), *UISO_RANGE))
            strain = float(np.clip(strain + ERRORS["strain"] * np.clip(moved[2], -1.0, 1.0), *STRAIN_RANGE))
        return zoom, uiso, strain, power

    def _changed(self, curves: Array, zoom: float, uiso: float, strain: float) -> Array:
        """(R, J, P) on the curve's own axis: the mean; its changes with zoom, U, strain, delta2 and damping by one standard deviation; the K ways."""
        squared = np.maximum(2.0 * uiso * self.sharpening + (strain * self.d) ** 2 - BLUR**2, SHARPEST**2)
        away = (self.r * zoom)[:, None] - self.d
        ratio = away * away / squared
        kernel = np.exp(-0.5 * ratio) * (STEP / np.sqrt(2.0 * np.pi * squared))
        widening, moving = kernel * ((ratio - 1.0) / (2.0 * squared)), -kernel * away / squared
        mean = curves[:, 0]
        base = kernel @ mean.T
        columns = [
            base,
            (moving @ mean.T) * self.r[:, None] * ERRORS["zoom"],
            widening @ (mean * (2.0 * self.sharpening * ERRORS["uiso"])).T,
            widening @ (mean * (2.0 * max(strain, LEAST_STRAIN) * self.d**2 * ERRORS["strain"])).T,
            widening @ (mean * (-2.0 * uiso * self.near * ERRORS["delta2"])).T,
            -base * self.r[:, None] ** 2,
        ]
        ways = (kernel @ curves[:, 1:].reshape(-1, len(self.d)).T).reshape(len(self.r), len(curves), -1)
        return np.concatenate([np.stack(columns, axis=2), ways], axis=2)

    def _design(self, changed: Array, true: Array, seen: Array) -> Array:
        """(J, 2Q, P + 1) between the limits of Q, and a sloping line."""
        waves = len(self.waves)
        shown = ((self.waves * true) @ changed.reshape(len(self.r), -1)).reshape(waves, *changed.shape[1:])
        line = np.broadcast_to((self.waves @ (self.r * seen))[:, None, None], (waves, changed.shape[1], 1))
        return np.concatenate([shown, line], axis=2).transpose(1, 0, 2)

    def _evidence(self, changed: Array, damping: float, power: float) -> Array:
        """(J,) ln p(curve | size, damping) with everything else integrated out; noise of the power that the best size leaves."""
        true, seen = _dampings(self.r, damping)
        design, data = self._design(changed, true, seen), self.waves @ (self.g * seen)
        along = np.einsum("jnp,n->jp", design, data)
        squares = np.einsum("jnp,jnq->jpq", design, design, optimize=True)
        scale = np.abs(along[:, 0]) / squares[:, 0, 0] + 1e-9
        prior = _inverse_variances(damping, design.shape[2]) / scale[:, None] ** 2
        diagonal = np.arange(design.shape[2])
        least = LEAST_NOISE**2 * float(np.mean(seen**2))
        for last in (False, True):
            normal = squares.copy()
            normal[:, diagonal, diagonal] += power * prior
            found = np.linalg.solve(normal, along[:, :, None])[:, :, 0]
            left = float(data @ data) - (along * found).sum(axis=1)
            if not last:
                power = max(float(left.min()) / len(data), least)
        volume = np.linalg.slogdet(normal / power)[1] - np.log(prior).sum(axis=1)
        counted = len(data) * (float(np.mean(np.log(seen))) - 0.5 * np.log(power))
        return np.asarray(counted - 0.5 * (left / power + volume))


@lru_cache(maxsize=4)
def _waves(points: int, first: float, last: float) -> Array:
    """(2Q, R) cosines and sines between the limits of Q, as many as the length of a curve holds, of about unit length."""
    r = np.linspace(first, last, points)
    q = np.arange(LOW, HIGH, 2.0 * np.pi / (last - first))
    ends = np.minimum((r - first) / BEGIN, (last - r) / END)
    fade = np.sin(0.5 * np.pi * np.minimum(1.0, ends + 0.05))
    return np.asarray(np.concatenate([np.cos(np.outer(q, r)), np.sin(np.outer(q, r))]) * (fade * np.sqrt(2.0 / points)))


def _dampings(r: Array, damping: float) -> tuple[Array, Array]:
    """The instrument's damping, and what of it was taken out."""
    true = np.exp(-0.5 * (damping * r) ** 2)
    return true, np.maximum(true, LEAST_ENVELOPE)


def _inverse_variances(damping: float, columns: int) -> Array:
    """Of the columns of a design, over the square of the scale."""
    found = np.ones(columns)
    found[0], found[1], found[-1] = MISSING, 0.5, MISSING
    found[5] = (max(damping, 0.5 * DAMPING_ERROR) * DAMPING_ERROR) ** -2.0
    return found
