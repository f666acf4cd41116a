"""Many candidates against one curve at once: scale, zoom, U and delta2 of each, by variable projection and batched Levenberg–Marquardt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError, StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.agreement import independent_points
from deepstruc_hpc.physics.debye import check_range
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.form_factors import Radiation, covalent_radius, element_of
from deepstruc_hpc.physics.histogram import class_pairs, extent
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.levenberg import Float, Minimum, NormalEquations, minimise
from deepstruc_hpc.physics.model_kernel import evaluate_derivatives, evaluate_values, normal_sums
from deepstruc_hpc.physics.separable import Spectra, kernel_table, spectra_of
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.physics.target import Target, target_of
from deepstruc_hpc.physics.threads import run_blocks

PARAMETERS = ("zoom", "uiso", "delta2")
BOUNDS: Mapping[str, tuple[float, float]] = {"zoom": (0.9, 1.1), "uiso": (5e-4, 0.08), "delta2": (0.0, 6.0)}
START: Mapping[str, float] = {"zoom": 1.0, "uiso": 0.008, "delta2": 2.0}
FIXED: Mapping[str, float] = {"zoom": 1.0, "uiso": 0.005, "delta2": 0.0}
SHARPEST = 0.9
"""delta2 stays below this part of the square of the shortest distance, so that no width is clamped."""
CLOSEST = 0.6
"""Atoms nearer than this part of the sum of their covalent radii are refused."""
_ZOOM_STEP = 0.01
_SECOND_START = 0.1
_BLOCK = 2048
_BLOCK_BYTES = 400_000_000


def fit_candidates(
    structures: Sequence[Structure],
    curve: PdfCurve,
    *,
    rmin: float,
    rmax: float,
    qmin: float,
    qmax: float,
    qdamp: float,
    qbroad: float = 0.0,
    delta1: float = 0.0,
    radiation: Radiation = "xray",
    free: Sequence[str] = ("scale", "zoom", "uiso", "delta2"),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    start: Mapping[str, float] | None = None,
    threads: int | None = None,
) -> FitTable:
    """Fit every candidate to a measured curve.

    Minimises Σ(Gobs − scale·G(r; zoom, uiso, delta2))² over the curve's own points with rmin ≤ r ≤ rmax. The zoom is first scanned over its bounds in
    steps of 0.01, and the minimum is sought from the best of these and, where another one is nearly as good, from that too.

    Args:
        structures: candidates of any elements and sizes, Å.
        curve: the data.
        rmin: Å.
        rmax: Å.
        qmin: Å⁻¹, of the data's sine transform.
        qmax: Å⁻¹.
        qdamp: Å⁻¹.
        qbroad: Å⁻¹.
        delta1: Å, fixed.
        radiation: ``xray`` or ``neutron``.
        free: parameters to refine; the others keep ``start``, or scale 1, zoom 1, uiso 0.005, delta2 0.
        bounds: other bounds than zoom 0.9–1.1, uiso 5e-4–0.08 Å², delta2 0–6 Å² (never above 0.9 of the shortest distance squared).
        start: values to start from, or to keep.
        threads: at most this many.

    Returns:
        A row a candidate, in the order given. Candidates that cannot be right (fewer than two atoms, atoms on top of each other, no distance below
        rmax, unknown elements) are refused with the reason and never stop the others.

    Raises:
        ConfigError: unknown parameter names, an empty range of Q.
        PdfFileError: the curve has no points in the range.
    """
    _check(free, bounds, start)
    check_range(qmin, qmax)
    data = curve.between(rmin, rmax)
    n_independent = independent_points(float(data.r[0]), float(data.r[-1]), qmin, qmax)
    table = FitTable.empty(len(structures), len(data), n_independent)
    problem = Problem(data, qmin, qmax, qdamp, qbroad, delta1, radiation, frozenset(free), {**BOUNDS, **(bounds or {})}, dict(start or {}), threads)
    sizes = np.array([extent(structure.positions) for structure in structures])
    for rows in _groups(structures, sizes, table):
        problem.fit_group([structures[row] for row in rows], np.array(rows), table)
    return table


def fitted_curve(
    structure: Structure,
    parameters: Mapping[str, Any],
    curve: PdfCurve,
    *,
    qmin: float,
    qmax: float,
    qdamp: float,
    qbroad: float = 0.0,
    delta1: float = 0.0,
    radiation: Radiation = "xray",
    rmin: float = -math.inf,
    rmax: float = math.inf,
) -> Float:
    """G(r) of a fitted candidate, by the reference path.

    Args:
        structure: the candidate as given to the fit.
        parameters: ``scale``, ``zoom``, ``uiso``, ``delta2``: a row of the table.
        curve: whose r is wanted.
        qmin: Å⁻¹; this and the following as in the fit.
        qmax: Å⁻¹.
        qdamp: Å⁻¹.
        qbroad: Å⁻¹.
        delta1: Å.
        radiation: ``xray`` or ``neutron``.
        rmin: Å; points of the curve outside [rmin, rmax] are 0.
        rmax: Å.

    Returns:
        (R,) Å⁻² on the curve's own points.
    """
    instrument = {"qmin": qmin, "qmax": qmax, "qdamp": qdamp, "qbroad": qbroad, "radiation": Instrument(radiation=radiation).radiation}
    moved = structure.positions * float(parameters["zoom"])
    widths = {"uiso": float(parameters["uiso"]), "delta1": delta1, "delta2": float(parameters["delta2"])}
    calculated = float(parameters["scale"]) * simulate_pdf(structure.symbols, moved, curve.r, **instrument, **widths)
    return np.where((curve.r >= rmin - 1e-9) & (curve.r <= rmax + 1e-9), calculated, 0.0)


class Problem:
    """One curve and the conditions of its fit."""

    def __init__(
        self,
        data: PdfCurve,
        qmin: float,
        qmax: float,
        qdamp: float,
        qbroad: float,
        delta1: float,
        radiation: Radiation,
        free: frozenset[str],
        bounds: Mapping[str, tuple[float, float]],
        start: Mapping[str, float],
        threads: int | None,
    ) -> None:
        self.data = data
        self.qmin, self.qmax, self.qdamp, self.qbroad, self.delta1 = qmin, qmax, qdamp, qbroad, delta1
        self.radiation = radiation
        self.free = free
        self.start = {name: start.get(name, (START if name in free else FIXED)[name]) for name in PARAMETERS}
        self.bounds = {name: bounds[name] if name in free else (self.start[name], self.start[name]) for name in PARAMETERS}
        self.threads = threads

    def fit_group(self, structures: list[Structure], rows: NDArray[np.int64], table: FitTable) -> None:
        """Fit clusters of the same elements and about the same size, and write their rows."""
        max_zoom = max(self.bounds["zoom"][1], self.start["zoom"]) * (1 + 1e-6)
        spectra = spectra_of(
            structures,
            q_max=self.qmax,
            max_zoom=max_zoom,
            radiation=self.radiation,
            resolution=self.qbroad > 0 or self.delta1 != 0,
            threads=self.threads,
        )
        reasons = _impossible_distances(spectra)
        table.put(rows, {"refused": reasons})
        good = np.flatnonzero(reasons == "")
        if not len(good):
            return
        longest = float(spectra.longest.max()) * max_zoom
        target = target_of(self.data.r, self.data.g, qmin=self.qmin, qmax=self.qmax, qdamp=self.qdamp, largest_distance=longest)
        evaluator = Evaluator(spectra, target, self.qbroad, self.delta1, free_scale="scale" in self.free, threads=self.threads)
        self._refine(evaluator, good, rows, table)

    def _refine(self, evaluator: Evaluator, good: NDArray[np.int64], rows: NDArray[np.int64], table: FitTable) -> None:
        shortest = evaluator.spectra.shortest[good].min(axis=1)
        low = np.tile([self.bounds[name][0] for name in PARAMETERS], (len(good), 1)).astype(float)
        high = np.tile([self.bounds[name][1] for name in PARAMETERS], (len(good), 1)).astype(float)
        if "delta2" in self.free:
            high[:, 2] = np.minimum(high[:, 2], SHARPEST * (shortest * low[:, 0]) ** 2)
            low[:, 2] = np.minimum(low[:, 2], high[:, 2])
        begin = np.clip(np.array([self.start[name] for name in PARAMETERS]), low, high)
        owner, starts = self._starts(evaluator, good, begin)
        moving = np.array([name in self.free for name in PARAMETERS])
        found = minimise(lambda part, p: evaluator.equations(good[owner[part]], p), starts, low[owner], high[owner], moving)
        order = np.lexsort((found.equations.cost, owner))
        best = order[np.unique(owner[order], return_index=True)[1]]
        table.put(rows[good], self._summary(found, best, evaluator.target, low, high, moving))

    def _starts(self, evaluator: Evaluator, good: NDArray[np.int64], begin: Float) -> tuple[NDArray[np.int64], Float]:
        """Where to start from: (K,) candidate and (K, 3) parameters; two a candidate where the scan over the zoom leaves two ways open."""
        everyone = np.arange(len(good))
        low, high = self.bounds["zoom"]
        if high <= low:
            return everyone, begin
        zooms = np.linspace(low, high, max(3, math.ceil((high - low) / _ZOOM_STEP) + 1))
        costs = np.empty((len(good), len(zooms)))
        for index, zoom in enumerate(zooms):
            costs[:, index] = evaluator.costs(good, np.column_stack([np.full(len(good), zoom), begin[:, 1:]]))
        padded = np.pad(costs, ((0, 0), (1, 1)), constant_values=np.inf)
        minima = np.where((costs <= padded[:, :-2]) & (costs <= padded[:, 2:]), costs, np.inf)
        first = np.argmin(minima, axis=1)
        lowest = minima[everyone, first]
        minima[everyone, first] = np.inf
        second = np.argmin(minima, axis=1)
        again = np.flatnonzero(minima[everyone, second] < lowest + _SECOND_START * evaluator.target.norm)
        owner = np.concatenate([everyone, again])
        starts = begin[owner].copy()
        starts[:, 0] = zooms[np.concatenate([first, second[again]])]
        return owner, starts

    def _summary(self, found: Minimum, best: NDArray[np.int64], target: Target, low: Float, high: Float, moving: NDArray[np.bool_]) -> dict[str, Any]:
        cost, scale, p = found.equations.cost[best], found.equations.scale[best], found.parameters[best]
        edge = 1e-6 * np.maximum(high - low, 1e-12)
        touching = moving & ((p <= low + edge) | (p >= high - edge))
        n_independent = independent_points(float(self.data.r[0]), float(self.data.r[-1]), self.qmin, self.qmax)
        freedom = n_independent - len(self.free)
        errors = _errors(found, best, moving & ~touching, cost / freedom if freedom > 0 else np.full(len(best), np.nan), target)
        names = [",".join(name for name, at in zip(PARAMETERS, row, strict=True) if at) for row in touching]
        zero = scale <= 0
        return {
            "rw": np.sqrt(cost / target.norm) if target.norm > 0 else np.full(len(best), np.inf),
            "scale": scale,
            "zoom": p[:, 0],
            "uiso": p[:, 1],
            "delta2": p[:, 2],
            "zoom_err": errors[:, 0],
            "uiso_err": errors[:, 1],
            "delta2_err": errors[:, 2],
            "scale_err": errors[:, 3] if "scale" in self.free else np.nan,
            "converged": found.converged[best],
            "at_bounds": [",".join(filter(None, ["scale" if at else "", name])) for at, name in zip(zero, names, strict=True)],
        }


class Evaluator:
    """Curves of candidates at given parameters, reduced to what a fit needs; compiled code on the CPU."""

    def __init__(self, spectra: Spectra, target: Target, qbroad: float, delta1: float, *, free_scale: bool, threads: int | None) -> None:
        self.spectra, self.target = spectra, target
        self.qbroad, self.delta1, self.free_scale, self.threads = qbroad, delta1, free_scale, threads
        self.weights = spectra.pair_weights(target.q)
        self.q = target.q.astype(np.float32)
        self.tables = kernel_table()
        self.values = spectra.values.reshape(*spectra.values.shape[:2], -1)

    def costs(self, index: NDArray[np.int64], p: Float) -> Float:
        """(C,) sums of squares at the best scale."""
        return self._reduce(index, p, 1).cost

    def equations(self, index: NDArray[np.int64], p: Float) -> NormalEquations:
        """Normal equations of candidates ``index`` (C,) at parameters ``p`` (C, 3): zoom, uiso, delta2."""
        return self._reduce(index, p, 4)

    def _reduce(self, index: NDArray[np.int64], p: Float, rows: int) -> NormalEquations:
        n = len(index)
        result = NormalEquations(np.empty(n), np.empty(n), np.empty((n, rows - 1, rows - 1)), np.empty((n, rows - 1)))
        for first in range(0, n, _BLOCK):
            part = slice(first, min(first + _BLOCK, n))
            curves = self.fq(index[part], p[part], rows).reshape(-1, len(self.q)) @ self.target.transform
            curves = curves.reshape(-1, rows, curves.shape[1])
            outs = (result.cost[part], result.scale[part], result.hessian[part], result.gradient[part])

            def sums(a: int, b: int, curves: Any = curves, outs: Any = outs) -> None:
                normal_sums(curves[a:b], self.target.data, self.target.outside, self.free_scale, *(out[a:b] for out in outs))

            run_blocks(sums, len(curves), threads=self.threads, smallest=64)
        return result

    def fq(self, index: NDArray[np.int64], p: Float, rows: int) -> NDArray[np.float32]:
        """(C, rows, Q) F(Q) and, for rows = 4, its derivatives by zoom, uiso and delta2."""
        scales = scale_at_nodes(self.spectra.nodes, p[:, 0], p[:, 2], self.delta1, self.qbroad).astype(np.float32)
        zoom, uiso = p[:, 0].astype(np.float32), p[:, 1].astype(np.float32)
        out = np.empty((len(index), rows, len(self.q)), dtype=np.float32)
        kernel = evaluate_values if rows == 1 else evaluate_derivatives
        grid = (self.q, self.spectra.dq, self.spectra.origin, *self.tables)

        def work(a: int, b: int) -> None:
            kernel(self.values, self.weights, index[a:b], zoom[a:b], uiso[a:b], scales[a:b], *grid, out[a:b])

        run_blocks(work, len(index), threads=self.threads, smallest=8)
        return out


def scale_at_nodes(nodes: Float, zoom: Float, delta2: Float, delta1: float, qbroad: float) -> Float:
    """s(z d_m), ∂s/∂zoom and ∂s/∂delta2 at the node distances: (C, 3, M). All zero where s would be negative."""
    d = zoom[:, None] * nodes
    near, nearer, wide = delta1 / d, delta2[:, None] / d**2, (qbroad * d) ** 2
    scale = 1.0 - near - nearer + wide
    stack = np.stack([scale, (near + 2.0 * nearer + 2.0 * wide) / zoom[:, None], -(d**-2.0)], axis=1)
    return np.where(scale[:, None, :] > 0, stack, 0.0)


def _errors(found: Minimum, best: NDArray[np.int64], usable: NDArray[np.bool_], variance: Float, target: Target) -> Float:
    """(C, 4) standard uncertainties of zoom, uiso, delta2 and of the scale; NaN for parameters that were fixed or ended at a bound.

    With the scale eliminated, the inverse of the reduced normal matrix is the block of the full covariance that belongs to the others. The scale's own
    variance is that at fixed other parameters (its correlation with U is left out of it).
    """
    hessian = found.equations.hessian[best]
    errors = np.full((len(best), 4), np.nan)
    for pattern in np.unique(usable, axis=0):
        chosen = np.flatnonzero((usable == pattern).all(axis=1))
        names = np.flatnonzero(pattern)
        if len(names):
            inverse = np.linalg.pinv(hessian[np.ix_(chosen, names, names)])
            errors[np.ix_(chosen, names)] = np.sqrt(np.maximum(np.einsum("cii->ci", inverse), 0.0) * variance[chosen, None])
    scale = found.equations.scale[best]
    explained = np.maximum(target.norm - found.equations.cost[best], 1e-300)  # = scale² ⟨g,g⟩ at the best scale
    errors[:, 3] = np.sqrt(variance * scale**2 / explained)
    return errors


def _check(free: Sequence[str], bounds: Mapping[str, tuple[float, float]] | None, start: Mapping[str, float] | None) -> None:
    known = {"scale", *PARAMETERS}
    for name in [*free, *(bounds or {}), *(start or {})]:
        if name not in known:
            raise ConfigError(f"fit parameter {name!r}: not one of {', '.join(sorted(known))}.")
    for name, (low, high) in (bounds or {}).items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high) or (name in {"zoom", "uiso"} and low <= 0):
            raise ConfigError(
                f"bounds of {name}: found {low:g} to {high:g}; finite numbers, the lower first, positive for zoom and uiso, are needed."
            )


def _groups(structures: Sequence[Structure], sizes: Float, table: FitTable) -> list[list[int]]:
    """Rows of the same elements and nearly the same size, in blocks of bounded memory; single atoms and unknown elements are refused here."""
    by_elements: dict[tuple[str, ...], list[int]] = {}
    for row, structure in enumerate(structures):
        if structure.n_atoms < 2:
            table.refused[row] = f"{structure.n_atoms} atoms; a pair distribution needs at least two."
        else:
            by_elements.setdefault(structure.elements, []).append(row)
    groups: list[list[int]] = []
    for elements, rows in by_elements.items():
        try:
            for symbol in elements:
                covalent_radius(symbol)
        except StructureError as unknown:
            table.refused[rows] = str(unknown)
            continue
        rows.sort(key=lambda row: sizes[row])
        n_pairs = len(class_pairs(len(elements)))
        current: list[int] = []
        for row in rows:
            limit = _BLOCK_BYTES / (max(sizes[row], 5.0) * 3000 * n_pairs)
            if current and (sizes[row] > 1.3 * max(sizes[current[0]], 6.0) or len(current) >= min(limit, _BLOCK)):
                groups.append(current)
                current = []
            current.append(row)
        groups.append(current)
    return groups


def _impossible_distances(spectra: Spectra) -> NDArray[np.object_]:
    """(S,) why a cluster cannot be real, or an empty string."""
    reasons = np.full(len(spectra), "", dtype=object)
    for pair, (a, b) in enumerate(class_pairs(len(spectra.elements))):
        first, second = spectra.elements[a], spectra.elements[b]
        needed = CLOSEST * (covalent_radius(first) + covalent_radius(second))
        for row in np.flatnonzero(spectra.shortest[:, pair] < needed):
            reasons[row] = (
                f"{element_of(first)} and {element_of(second)} atoms {spectra.shortest[row, pair]:.2f} Å apart; "
                f"at least {needed:.2f} Å is needed. Are the positions in Å?"
            )
    return reasons
