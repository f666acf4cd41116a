"""Moving single atoms under the data: gradients of G(r) by positions, with a restraint to where the atoms came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.debye import Atoms
from deepstruc_hpc.physics.extra_terms import Term, columns_of
from deepstruc_hpc.physics.form_factors import scattering_factors
from deepstruc_hpc.physics.histogram import extent, pair_count
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.target import target_of
from deepstruc_hpc.physics.torch_debye import DistanceGrid, distances, pair_list, spread

MOVE_SCALE = 0.1
"""Å: root mean square displacement that costs as much as ``restraint`` in Rw²."""
_PHASE = 0.35
_LOWEST_UISO = 0.002


@dataclass(frozen=True, eq=False)
class RelaxedStructure:
    """What a relaxation did.

    Attributes:
        structure: with the positions as moved, zoom applied.
        rw_before: at the start, best scale.
        rw_after: at the end, without the restraint's share.
        moved: (N,) Å, how far each atom went, after the zoom.
        uiso: Å², refined along with the positions.
        scale: dimensionless.
        iterations: of the optimiser.
        converged: whether it stopped by itself.
    """

    structure: Structure
    rw_before: float
    rw_after: float
    moved: NDArray[np.float64]
    uiso: float
    scale: float
    iterations: int
    converged: bool


def relax(
    structure: Structure,
    parameters: Mapping[str, Any],
    curve: PdfCurve,
    instrument: Instrument,
    *,
    rmin: float,
    rmax: float,
    restraint: float = 1e-3,
    min_distance: float | None = None,
    max_iterations: int = 100,
    low_q: float = 0.0,
    terms: Sequence[Term] = (),
) -> RelaxedStructure:
    """Refine the positions of the atoms of a fitted candidate.

    Minimises Rw² + restraint · ⟨(x − x₀)²⟩/(0.1 Å)² + 100 Σ max(0, min_distance − d)²/Å² over positions and U; the scale is eliminated. U stays above
    0.002 Å², so that noise is not fitted with ever sharper peaks. Where the data says nothing about an atom, the restraint keeps it in place.

    Args:
        structure: the candidate as given to the fit.
        parameters: ``zoom``, ``uiso``, ``delta2`` of its fit (a row of the table).
        curve: the data.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        rmin: Å.
        rmax: Å.
        restraint: part of Rw² that a displacement of 0.1 Å costs; larger for noisier data.
        min_distance: Å; 0.85 of the shortest distance at the start when not given.
        max_iterations: of L-BFGS.
        low_q: Å⁻¹, below which nothing of data and model counts, as in the fit; 0: all counts.
        terms: of ligands, solvent or support, eliminated as in the fit.

    Returns:
        Positions, agreement before and after, and how far each atom moved.

    Raises:
        StructureError: fewer than two atoms.
    """
    if structure.n_atoms < 2:
        raise StructureError(f"{structure.label or 'structure'}: {structure.n_atoms} atoms; at least two are needed to relax a distance.")
    start = structure.scaled(float(parameters["zoom"]))
    cost = _Cost(start, parameters, curve.between(rmin, rmax), instrument, restraint=restraint, low_q=low_q, terms=terms)
    cost.min_distance = 0.85 * cost.shortest if min_distance is None else min_distance
    begin = np.append(cost.start.numpy().ravel(), np.log(max(float(parameters["uiso"]), 1e-4)))
    rw_before, _ = cost.agreement(begin)
    limits: Any = [(None, None)] * (len(begin) - 1) + [(min(np.log(_LOWEST_UISO), begin[-1]), None)]
    options: Any = {"maxiter": max_iterations, "maxcor": 30, "ftol": 1e-9, "gtol": 1e-8}
    found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=limits, options=options)
    rw_after, scale = cost.agreement(found.x)
    positions = found.x[:-1].reshape(-1, 3)
    moved = np.linalg.norm(positions - cost.start.numpy(), axis=1)
    result = Structure(structure.symbols, positions, structure.structure_type, structure.label)
    return RelaxedStructure(result, rw_before, rw_after, moved, float(np.exp(found.x[-1])), scale, int(found.nit), bool(found.success))


class _Cost:
    """Cost and gradient of the relaxation as functions of a flat vector: positions, then log U."""

    def __init__(
        self,
        structure: Structure,
        parameters: Mapping[str, Any],
        data: PdfCurve,
        instrument: Instrument,
        *,
        restraint: float,
        low_q: float,
        terms: Sequence[Term],
    ) -> None:
        atoms = Atoms.of(structure.symbols, structure.positions)
        reach = 1.15 * extent(atoms.positions) + 2.0
        ranges = {"qmin": instrument.qmin, "qmax": instrument.qmax, "qdamp": instrument.qdamp, "low_q": low_q}
        target = target_of(data.r, data.g, **ranges, largest_distance=reach)
        target = target.without(columns_of(terms, target.q, instrument.radiation))
        q = torch.tensor(target.q)
        widths = {"delta2": float(parameters["delta2"]), "qbroad": instrument.qbroad}
        self.grid = DistanceGrid(q, step=_PHASE / instrument.qmax, reach=reach, **widths)
        self.weights = torch.tensor(atoms.pair_weights(scattering_factors(atoms.elements, target.q, instrument.radiation)))
        self.transform = torch.tensor(target.transform, dtype=torch.float64)
        self.data, self.outside, self.norm = torch.tensor(target.data), target.outside, target.norm
        self.i, self.j, _ = pair_list(torch.tensor([structure.n_atoms]))
        element = torch.tensor(atoms.element)
        a, b = torch.minimum(element[self.i], element[self.j]), torch.maximum(element[self.i], element[self.j])
        n = len(atoms.elements)
        self.pair, self.n_pairs = a * n - a * (a - 1) // 2 + b - a, pair_count(n)
        self.start = torch.tensor(structure.positions.copy())
        self.shortest = float(distances(self.start, self.i, self.j).min())
        self.restraint, self.min_distance = restraint, 0.0

    def __call__(self, vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        x = torch.tensor(vector, requires_grad=True)
        positions = x[:-1].reshape(-1, 3)
        d = distances(positions, self.i, self.j)
        residual, _ = self._residual(d, x[-1].exp())
        away = ((positions - self.start) ** 2).sum(dim=1).mean() / MOVE_SCALE**2
        clash = 100.0 * (torch.clamp(self.min_distance - d, min=0.0) ** 2).sum()
        cost = residual + self.restraint * away + clash
        cost.backward()  # type: ignore[no-untyped-call]
        gradient = x.grad
        return float(cost.detach()), np.zeros(len(vector)) if gradient is None else gradient.numpy()

    def agreement(self, vector: NDArray[np.float64]) -> tuple[float, float]:
        """Rw and scale."""
        with torch.no_grad():
            x = torch.tensor(vector)
            residual, scale = self._residual(distances(x[:-1].reshape(-1, 3), self.i, self.j), x[-1].exp())
        return float(residual) ** 0.5, float(scale)

    def _residual(self, d: torch.Tensor, uiso: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rw² and the scale."""
        hist = spread(d, self.pair, rows=self.n_pairs, step=self.grid.step, n_bins=self.grid.n_bins)
        curve = self.grid.fq(hist[None], self.weights, uiso)[0] @ self.transform
        scale = torch.clamp(curve @ self.data / (curve @ curve), min=0.0)
        return (self.outside + ((self.data - scale * curve) ** 2).sum()) / self.norm, scale
