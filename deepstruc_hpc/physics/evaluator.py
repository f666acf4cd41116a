"""Curves of candidates at given parameters, reduced to what a fit needs; compiled code on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float32, Float64, Int64
from deepstruc_hpc.physics.levenberg import Float, NormalEquations
from deepstruc_hpc.physics.model_kernel import (
    TAPS,
    evaluate_derivatives,
    evaluate_group_derivatives,
    evaluate_shared,
    evaluate_values,
    normal_sums,
    shared_coefficients,
)
from deepstruc_hpc.physics.separable import Spectra, kernel_table
from deepstruc_hpc.physics.target import Target
from deepstruc_hpc.physics.threads import run_blocks
from deepstruc_hpc.physics.uiso_groups import UisoGroups

_BLOCK = 2048


class Evaluator(Protocol):
    """What the fit asks of an engine. Parameters are zoom, uiso (Å²; one for each of G groups of elements, see ``UisoGroups``), delta2 (Å²)."""

    def costs(self, index: Int64[NDArray[np.int64], " clusters"], p: Float64[Float, "... parameters"]) -> Float64[Float, " clusters"]:
        """(C,) sums of squares at the best scale of clusters ``index`` (C,); p is zoom, one U for all atoms, delta2: (3,) for all, or (C, 3)."""
        ...

    def equations(self, index: Int64[NDArray[np.int64], " clusters"], p: Float64[Float, "clusters parameters"]) -> NormalEquations:
        """Normal equations of clusters ``index`` (C,) at parameters (C, 2 + G)."""
        ...


class CompiledEvaluator:
    """The engine for CPUs: numba kernels on all threads and one BLAS product a block.

    Args:
        spectra: the clusters.
        target: the data.
        qbroad: Å⁻¹.
        delta1: Å.
        free_scale: False keeps the scale at 1.
        groups: which elements share a U; one U for all atoms when not given.
        threads: at most this many.
    """

    def __init__(
        self,
        spectra: Spectra,
        target: Target,
        *,
        qbroad: float,
        delta1: float,
        free_scale: bool,
        groups: UisoGroups | None = None,
        threads: int | None = None,
    ) -> None:
        self.spectra, self.target = spectra, target
        self.pairs = groups.pairs() if groups is not None and len(groups) > 1 else None
        self.n_parameters = 3 if groups is None else 2 + len(groups)
        self.qbroad, self.delta1, self.free_scale, self.threads = qbroad, delta1, free_scale, threads
        self.weights = spectra.pair_weights(target.q)
        self.q = target.q.astype(np.float32)
        self.tables = kernel_table()
        self.values = spectra.values.reshape(*spectra.values.shape[:2], -1)

    def costs(self, index: Int64[NDArray[np.int64], " clusters"], p: Float64[Float, "... parameters"]) -> Float64[Float, " clusters"]:
        """(C,) sums of squares at the best scale of clusters ``index`` (C,); p is zoom, one U for all atoms, delta2: (3,) for all, or (C, 3)."""
        if p.ndim == 2:
            return self._reduce(lambda part: self.fq(index[part], p[part], 1), len(index), 1).cost
        first, coefficients = self._coefficients(p)

        def curves(part: slice) -> NDArray[np.float32]:
            chosen = index[part]
            out = np.empty((len(chosen), 1, len(self.q)), dtype=np.float32)

            def work(a: int, b: int) -> None:
                evaluate_shared(self.values, self.weights, chosen[a:b], first, coefficients, out[a:b])

            run_blocks(work, len(chosen), threads=self.threads, smallest=8)
            return out

        return self._reduce(curves, len(index), 1).cost

    def equations(self, index: Int64[NDArray[np.int64], " clusters"], p: Float64[Float, "clusters parameters"]) -> NormalEquations:
        """Normal equations of clusters ``index`` (C,) at parameters (C, 2 + G)."""
        rows = 1 + self.n_parameters
        return self._reduce(lambda part: self.fq(index[part], p[part], rows), len(index), rows)

    def _coefficients(self, p: Float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Where the grid points around each q begin, (Q,), and what each mode of each of them weighs in F(Q), (Q, TAPS·M)."""
        scale = scale_at_nodes(self.spectra.nodes, p[None, 0], p[None, 2], delta1=self.delta1, qbroad=self.qbroad)[0, 0].astype(np.float32)
        first = np.empty(len(self.q), dtype=np.int64)
        coefficients = np.empty((len(self.q), TAPS * len(scale)), dtype=np.float32)
        shared_coefficients(p[0], p[1], scale, self.q, self.spectra.dq, self.spectra.origin, self.tables[0], first, coefficients)
        return first, coefficients

    def fq(
        self, index: Int64[NDArray[np.int64], " clusters"], p: Float64[Float, "... parameters"], rows: int
    ) -> Float32[NDArray[np.float32], "clusters rows q"]:
        """F(Q) and its derivatives.

        Args:
            index: (C,) numbers of clusters.
            p: (C, 2 + G) zoom, U of each group, delta2; (C, 3) for ``rows`` = 1.
            rows: 1 for F(Q) at one U for all atoms; 3 + G to add the derivatives by zoom, the U of each group and delta2.

        Returns:
            (C, rows, Q) Å⁻¹.
        """
        scales = scale_at_nodes(self.spectra.nodes, p[:, 0], p[:, -1], delta1=self.delta1, qbroad=self.qbroad).astype(np.float32)
        zoom, uiso = p[:, 0].astype(np.float32), p[:, 1].astype(np.float32)
        each = np.ascontiguousarray(p[:, 1:-1], dtype=np.float32)
        out = np.empty((len(index), rows, len(self.q)), dtype=np.float32)
        grid = (self.q, self.spectra.dq, self.spectra.origin)

        def work(a: int, b: int) -> None:
            chosen = (self.values, self.weights, index[a:b], zoom[a:b])
            if rows == 1:
                evaluate_values(*chosen, uiso[a:b], scales[a:b], *grid, self.tables[0], out[a:b])
            elif self.pairs is None:
                evaluate_derivatives(*chosen, uiso[a:b], scales[a:b], *grid, *self.tables, out[a:b])
            else:
                evaluate_group_derivatives(*chosen, each[a:b], scales[a:b], self.pairs, *grid, *self.tables, out[a:b])

        run_blocks(work, len(index), threads=self.threads, smallest=8)
        return out

    def _reduce(self, fq: Callable[[slice], NDArray[np.float32]], count: int, rows: int) -> NormalEquations:
        result = NormalEquations.empty(count, rows - 1)
        for first in range(0, count, _BLOCK):
            part = slice(first, min(first + _BLOCK, count))
            curves = fq(part).reshape(-1, len(self.q)) @ self.target.transform
            curves = curves.reshape(-1, rows, curves.shape[1])
            outs = result.take(part)

            def sums(a: int, b: int, curves: Any = curves, outs: NormalEquations = outs) -> None:
                o = outs.take(slice(a, b))
                normal_sums(curves[a:b], self.target.data, self.target.outside, self.free_scale, o.cost, o.scale, o.hessian, o.gradient, o.full)

            run_blocks(sums, len(curves), threads=self.threads, smallest=64)
        return result


def scale_at_nodes(
    nodes: Float64[Float, " nodes"], zoom: Float64[Float, " clusters"], delta2: Float64[Float, " clusters"], *, delta1: float, qbroad: float
) -> Float64[Float, "clusters 3 nodes"]:
    """s(z d_m), ∂s/∂zoom and ∂s/∂delta2 at the node distances: (C, 3, M). All zero where s would be negative."""
    d = zoom[:, None] * nodes
    near, nearer, wide = delta1 / d, delta2[:, None] / d**2, (qbroad * d) ** 2
    scale = 1.0 - near - nearer + wide
    stack = np.stack([scale, (near + 2.0 * nearer + 2.0 * wide) / zoom[:, None], -(d**-2.0)], axis=1)
    return np.where(scale[:, None, :] > 0, stack, 0.0)
