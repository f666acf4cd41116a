"""Two displacement fields of a metal particle, refined beside scale, zoom, U and delta2: a contracted surface and a radial strain.

With x the positions about the centroid, ρ = |x|, R the largest ρ and d the nearest-neighbour distance:

- surface contraction c: atoms with fewer neighbours than those inside move by −c·d·x/ρ; c = 0.02 is 2 % of a bond;
- radial strain e: all atoms move by e·x·(ρ/R)²; multiply twinned particles are closed by strain that grows outwards
  (Howie & Marks, Phil. Mag. A 49 (1984) 95).

Both change distances by little, so that a few Gauss–Newton steps with all parameters free reach the minimum. A field is kept where it gains
``LEAST_GAIN`` more than its price by the Bayesian information criterion and lies ``LEAST_ERRORS`` of its standard uncertainties away from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc.core.shapes import Float64, Positions
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit_problem import PARAMETERS, SHARPEST, FitProblem
from deepstruc_hpc.physics.term_search import Tangent, evidence
from deepstruc_hpc.physics.uiso_groups import UisoGroups

Float = NDArray[np.float64]
NEIGHBOUR = 1.2
"""Of the nearest-neighbour distance: between first and second neighbours of close packing (1.41); in bcc both first shells lie within."""
STEP = 0.002
"""Of each field, for its derivative by a difference."""
LARGEST = 0.1
"""Of each field: beyond it atoms would touch. Of the zoom of the start as well: a fit begins near its minimum."""
LEAST_ERRORS, LEAST_GAIN = 3.0, 5.0
"""Standard uncertainties, and nats beyond the price, for each field. Uncertainties know of the noise alone, and every candidate is a little wrong."""
LEAST_INSIDE = 4
"""Atoms inside: with fewer the surface is the whole particle, and its contraction a zoom."""
MOST_STEPS = 8
"""Of Gauss and Newton, at most: a limit of time."""
LEAST_UISO = 5e-4
"""Å², as in the fit."""


@dataclass(frozen=True, eq=False)
class Strain:
    """Fields that are kept.

    Attributes:
        values: amplitude of each field by name, dimensionless.
        errors: standard uncertainties, from the Jacobian with n independent points.
        rw_before, rw_after: of the rigid particle, and with the fields; all other parameters free in both.
        gain: nats beyond the price of the fields.
        structure: with the positions moved and zoomed, Å.
        parameters: ``scale``, ``zoom``, ``uiso``, ``delta2``.
    """

    values: Mapping[str, float]
    errors: Mapping[str, float]
    rw_before: float
    rw_after: float
    gain: float
    structure: Structure
    parameters: Mapping[str, float]


def displacement_fields(structure: Structure) -> dict[str, Positions]:
    """``surface_contraction`` and ``radial_strain``: (N, 3) Å at unit amplitude; the first only where some atoms lie inside."""
    x = structure.positions - structure.positions.mean(axis=0)
    radius = np.linalg.norm(x, axis=1)
    tree = cKDTree(x)
    nearest = float(np.median(np.asarray(tree.query(x, k=2)[0])[:, 1]))
    neighbours = np.array([len(found) - 1 for found in tree.query_ball_point(x, NEIGHBOUR * nearest)])
    outside = neighbours < neighbours.max()
    fields = {"radial_strain": x * (radius[:, None] / radius.max()) ** 2}
    if (~outside).sum() >= LEAST_INSIDE:
        direction = x / np.maximum(radius, 1e-9)[:, None]
        fields["surface_contraction"] = -nearest * direction * outside[:, None]
    return fields


def refine_strain(structure: Structure, row: Mapping[str, float], problem: FitProblem, names: Sequence[str]) -> Strain | None:
    """The fields that pay for themselves, each alone and all together; None where none does.

    Args:
        structure: the particle as given to the fit, of one element.
        row: its fit: ``scale``, ``zoom``, ``uiso``, ``delta2``.
        problem: what it was fitted to, for this particle alone.
        names: of the fields that are tried.
    """
    fields = {name: field for name, field in displacement_fields(structure).items() if name in names}
    start = {name: float(row[name]) for name in ("scale", *PARAMETERS)}
    here = problem.tangent(structure, start)
    rigid, points = _cost(here), here.points
    slopes = {name: _slope(structure, field, start, problem, here) for name, field in fields.items()}
    price = 0.5 * np.log(max(points, 1.0))
    worth = [name for name, slope in slopes.items() if evidence(rigid, _promised(here, slope), points) > price]
    best: Strain | None = None
    for chosen in _sets(list(fields), worth):
        found = _refined(structure, {name: fields[name] for name in chosen}, start, problem, rigid)
        clear = all(abs(found.values[name]) > LEAST_ERRORS * found.errors[name] for name in chosen)
        inside = all(abs(found.values[name]) < LARGEST for name in chosen)
        others = 0.0 if best is None else best.gain
        if clear and inside and found.gain > others + (LEAST_GAIN if best is None or len(chosen) > len(best.values) else 0.0):
            best = found
    return best


def _sets(names: Sequence[str], worth: Sequence[str]) -> list[tuple[str, ...]]:
    """Each field that promises to pay alone, then all together."""
    together = [tuple(names)] if worth and len(names) > 1 else []
    return [*((name,) for name in worth), *together]


def _cost(tangent: Tangent) -> float:
    residual = tangent.target.data - tangent.model
    return float(residual @ residual) + tangent.target.outside


def _moved(structure: Structure, fields: Sequence[Float], amplitudes: Sequence[float]) -> Structure:
    shift = sum((amount * field for amount, field in zip(amplitudes, fields, strict=True)), np.zeros_like(structure.positions))
    return Structure(structure.symbols, structure.positions + shift, structure.structure_type, structure.label)


def _slope(structure: Structure, field: Float, parameters: Mapping[str, float], problem: FitProblem, here: Tangent) -> Float:
    """(K,) derivative of the model by the amplitude of a field."""
    moved = Structure(structure.symbols, structure.positions + STEP * field, structure.structure_type, structure.label)
    return np.asarray((problem.tangent(moved, parameters).model - here.model) / STEP)


def _jacobian(here: Tangent, slopes: Sequence[Float]) -> Float:
    """(K, 4 + F) by scale, the parameters and the fields."""
    own = here.derivatives * np.array([1.0, *[here.scale] * (here.derivatives.shape[1] - 1)])
    return np.column_stack([own, *slopes])


def _promised(here: Tangent, slope: Float) -> float:
    """The sum of squares after one step, to first order."""
    jacobian, residual = _jacobian(here, [slope]), here.target.data - here.model
    left = residual - jacobian @ np.linalg.lstsq(jacobian, residual, rcond=None)[0]
    return float(left @ left) + here.target.outside


@dataclass(frozen=True, eq=False)
class Displaced:
    """A structure whose displacement fields were refined with scale, zoom, U and delta2.

    Attributes:
        amplitudes: (F,) of the fields.
        parameters: ``scale``, ``zoom``, ``uiso`` (or one a group), ``delta2``.
        cost: the sum of squares that is left.
        tangent: of the fit there.
        jacobian: (K, P + F) by scale, the parameters and the fields.
    """

    amplitudes: tuple[float, ...]
    parameters: Mapping[str, float]
    cost: float
    tangent: Tangent
    jacobian: Float

    @property
    def rw(self) -> float:
        """Of the fit."""
        return float(np.sqrt(self.cost / self.tangent.target.norm))


def refine_displacements(
    structure: Structure,
    fields: Sequence[Float64[Float, "atoms 3"]],
    start: Mapping[str, float],
    problem: FitProblem,
    *,
    groups: UisoGroups | None = None,
) -> Displaced:
    """Gauss–Newton over scale, zoom, U, delta2 and the amplitudes of displacement fields, with shorter steps where the sum of squares would grow.

    Args:
        structure: as given to the fit, the only one of the problem.
        fields: displacements at unit amplitude, Å.
        start: ``scale``, ``zoom``, ``uiso`` and ``delta2`` of its fit, in this order; of several groups ``uiso_`` and the group's name for each.
            The amplitudes begin at 0.
        problem: what it is fitted to.
        groups: of its elements, each with a U of its own; one for all where not given.
    """
    names, rigid = tuple(start), len(start)

    def tangent(values: Float) -> Tangent:
        moved = _moved(structure, fields, values[rigid:].tolist())
        return problem.tangent(moved, dict(zip(names, values.tolist(), strict=False)), groups=groups)

    vector = np.array([*start.values(), *[0.0] * len(fields)])
    here = tangent(vector)
    cost, jacobian = _cost(here), np.zeros((len(here.model), len(vector)))
    for _ in range(MOST_STEPS):
        steps = STEP * np.eye(len(vector))[rigid:]
        slopes = [np.asarray((tangent(vector + step).model - here.model) / STEP) for step in steps]
        if not all(np.isfinite(slope).all() for slope in slopes):
            break
        jacobian = _jacobian(here, slopes)
        step = np.linalg.lstsq(jacobian, here.target.data - here.model, rcond=None)[0]
        for part in (1.0, 0.5, 0.25):
            trial = _within(vector + part * step, structure, rigid, zoom=start["zoom"])
            there = tangent(trial)
            if _cost(there) < cost:
                break
        else:
            break
        done = cost - _cost(there) < 1e-5 * cost
        vector, here, cost = trial, there, _cost(there)
        if done:
            break
    return Displaced(tuple(vector[rigid:].tolist()), dict(zip(names, vector.tolist(), strict=False)), cost, here, jacobian)


def _refined(structure: Structure, fields: Mapping[str, Float], start: Mapping[str, float], problem: FitProblem, rigid: float) -> Strain:
    found = refine_displacements(structure, list(fields.values()), start, problem)
    points, free = found.tangent.points, found.jacobian.shape[1]
    covariance = np.linalg.pinv(found.jacobian.T @ found.jacobian, hermitian=True) * found.cost / max(points - free, 1.0)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))[free - len(fields) :]
    return Strain(
        dict(zip(fields, found.amplitudes, strict=True)),
        dict(zip(fields, errors.tolist(), strict=True)),
        float(np.sqrt(rigid / found.tangent.target.norm)),
        found.rw,
        float(evidence(rigid, found.cost, points) - 0.5 * len(fields) * np.log(max(points, 1.0))),
        _moved(structure, list(fields.values()), found.amplitudes).scaled(found.parameters["zoom"]),
        found.parameters,
    )


def _within(vector: Float, structure: Structure, rigid: int, *, zoom: float) -> Float:
    """Inside the bounds of the fit, near the zoom of the start. The first ``rigid`` values are scale, zoom, each U and delta2."""
    nearest = float(np.asarray(cKDTree(structure.positions).query(structure.positions, k=2)[0])[:, 1].min())
    kept = vector.copy()
    kept[1] = np.clip(kept[1], (1.0 - LARGEST) * zoom, (1.0 + LARGEST) * zoom)
    kept[2 : rigid - 1] = np.maximum(kept[2 : rigid - 1], LEAST_UISO)
    kept[rigid - 1] = np.clip(kept[rigid - 1], 0.0, SHARPEST * (nearest * kept[1]) ** 2)
    kept[rigid:] = np.clip(kept[rigid:], -LARGEST, LARGEST)
    return np.asarray(kept)
