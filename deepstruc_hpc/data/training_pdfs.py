"""PDFs for training: the catalog's own, or new ones under random conditions as if measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.core.peaks import first_neighbour_distances
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.species import atomic_numbers
from deepstruc_hpc.data.standard_pdf import envelope, sample_rows, shortest_known, standardise, with_elements, with_length
from deepstruc_hpc.physics.separable import Spectra, spectra_of
from deepstruc_hpc.physics.torch_pdf import interpolate
from deepstruc_hpc.structures.compound_types import cations_and_anion
from deepstruc_hpc.structures.sites import shortest_distance

SPECTRA_AT_A_TIME = 512
LONGEST_PEAK = 1.1
"""Curves are made so far beyond the model's axis: the first peak lies up to so far above the nearest-neighbour distance."""


@dataclass(frozen=True, eq=False)
class StoredPdfs:
    """The catalog's PDFs exactly as stored: the paper's protocol.

    Attributes:
        r: (P,) Å.
        g: (S, P) float32.
        nn_distance: (S,) Å.
        grid: (R,) r / d_nn.
        qdamp: with which they were simulated, Å⁻¹; it is taken out.
        rmin: Å; below it the curve is masked, as a measured one is.
        lengths: add the length of the unit as a reading, and begin below the first peak of oxides.
        unit_error: standard deviation of ln(unit): at use the unit is read off the first peak.
    """

    r: NDArray[np.float64]
    g: NDArray[np.float32]
    nn_distance: NDArray[np.float32]
    grid: NDArray[np.float64]
    qdamp: float = 0.0
    rmin: float = 2.0
    lengths: bool = False
    unit_error: float = 0.0

    def __call__(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """(B, 2, R), or (B, 2, R + 1) with lengths; the random generator is used for the error of the unit alone."""
        units = self.nn_distance[rows]
        if self.unit_error:
            units = units * np.exp(self.unit_error * rng.standard_normal(len(rows))).astype(np.float32)
        at = units.astype(np.float64)[:, None] * self.grid
        values, known = sample_rows(self.r, self.g[rows], at)
        first = shortest_known(units)[:, None] if self.lengths else self.rmin
        channels = standardise(values / envelope(at, self.qdamp), known & (at >= first))
        return with_length(channels, units) if self.lengths else channels


class MeasuredLike(Config):
    """Ranges from which the conditions of a training PDF are drawn, uniformly and independently."""

    qmin: tuple[float, float] = Field((0.5, 1.5), description="Å⁻¹")
    qmax: tuple[float, float] = Field((16.0, 28.0), description="Å⁻¹")
    qdamp: tuple[float, float] = Field((0.0, 0.06), description="Å⁻¹")
    uiso: tuple[float, float] = Field((0.003, 0.02), description="Å²")
    delta2: tuple[float, float] = Field((0.0, 5.0), description="Å²")
    noise: tuple[float, float] = Field((0.0, 0.1), description="standard deviation of the noise in G over the RMS of G")
    rmin: tuple[float, float] = Field((1.6, 2.4), description="Å; the curve is masked below")
    rmax: tuple[float, float] = Field((15.0, 30.0), description="Å; the curve is masked beyond")
    qdamp_error: tuple[float, float] = Field((0.0, 0.008), description="Å⁻¹; by how much the damping that is taken out differs, either way")
    strain: tuple[float, float] = Field((0.0, 0.01), description="relative spread of distances, as an inhomogeneous strain leaves it")
    expected: tuple[float, float] = Field(
        (0.95, 1.06), description="true over expected nearest-neighbour distance: the first peak is looked for about the expected one"
    )
    zoom: tuple[float, float] = Field((0.992, 1.008), description="error of the first peak's position")
    metal: tuple[float, float] = Field((1.0, 1.0), description="the structure is expanded by this, as if it were of another metal")
    baseline: tuple[float, float] = Field(
        (0.0, 0.0), description="a straight line through 0 in G, of either sign: its value at the end over the RMS of G"
    )

    @model_validator(mode="after")
    def _ranges_run_upward(self) -> Self:
        for name in type(self).model_fields:
            low, high = getattr(self, name)
            if low > high or low < 0:
                raise ValueError(f"{name} runs from {low:g} to {high:g}: the first number must not be negative nor above the second")
        return self


Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MeasuredLikePdfs:
    """New PDFs in every batch, from spectra of the shapes in units of their nearest-neighbour distance.

    In that unit one axis of q serves every metal, so the sine transform is a product with one fixed matrix: a batch of 64 takes
    some 5 ms of one core. F(q) = Σ_m exp(−U q² (1 − delta2/d_m²)) F_m(q), see :mod:`deepstruc_hpc.physics.separable`; the integral is a trapezoid
    sum with fractional ends, good to some 3e-3 of the largest G. Noise is white in F(Q) between Qmin and Qmax, as counting leaves it, and scaled to
    the curve.

    Attributes:
        fine: (F,) r / d_nn, the grid with half its step and a little longer: a curve is made on it and then read at multiples of its first peak.
        spectra: (U, Q, M) float32, F_m of each different shape.
        shape_of: (S,) row of ``spectra`` of each structure.
        q: (Q,) in 1 / d_nn.
        nodes: (M,) d_m in d_nn.
        nn_distance: (S,) Å.
        grid: (R,) r / d_nn.
        sines: (Q, F): (2/π) sin(qr) dq.
        ranges: of the conditions.
        compared_to: r / d_nn up to which the RMS of G is taken that noise and line are a share of. Particles are over where a long axis goes on, and
            their noise does not sink with the length of the axis.
        scatterers: (S, 2) mean atomic numbers of the cations and of the anion of compounds, which the PDFs then hold with their bond.
    """

    spectra: Floats
    shape_of: NDArray[np.int64]
    q: Floats
    nodes: Floats
    nn_distance: Floats
    grid: NDArray[np.float64]
    fine: NDArray[np.float64]
    sines: Floats
    ranges: MeasuredLike
    compared_to: float = np.inf
    scatterers: Floats | None = None

    @classmethod
    def of(
        cls,
        structures: Sequence[Structure],
        nn_distance: NDArray[np.floating],
        shapes: Sequence[str],
        grid: NDArray[np.float64],
        ranges: MeasuredLike,
        *,
        compared_to: float = np.inf,
        given_elements: bool = False,
    ) -> MeasuredLikePdfs:
        """Spectra of every different shape.

        Args:
            structures: S, each of one element; or of a cation and an anion, where the elements are given.
            nn_distance: (S,) Å.
            shapes: S names; structures of one name differ in element and scale only, compounds in nothing.
            grid: (R,) r / d_nn.
            ranges: of the conditions.
            compared_to: r / d_nn up to which the RMS of G is taken that noise and line are a share of.
            given_elements: PDFs are those of compounds, and say their elements.

        Raises:
            StoreError: a structure holds several elements.
        """
        mixed = next((structure for structure in structures if len(structure.elements) > 1), None)
        if mixed is not None and not given_elements:
            raise StoreError(
                f"{mixed.label}: {mixed.formula} holds several elements; measured-like PDFs are for one. Train with --set data.pdfs=stored, or, "
                "for compounds of the family random_compounds, with --set model.given_elements=true."
            )
        _, first, shape_of = np.unique(np.asarray(shapes), return_index=True, return_inverse=True)
        different = [structures[row] if given_elements else structures[row].with_symbols(("Au",) * len(structures[row])) for row in first]
        q_max = ranges.qmax[1] * ranges.metal[1] * float(np.max(nn_distance))
        units = np.asarray(nn_distance, dtype=np.float64)[first]
        reach = max(_extent(structure) / unit for structure, unit in zip(different, units, strict=True))
        half = 0.5 * float(grid[1] - grid[0])
        fine = float(grid[0]) + half * np.arange(int(np.ceil((LONGEST_PEAK * grid[-1] - grid[0]) / half)) + 1)
        step = 2 * np.pi / (reach + 1.5 * float(grid[-1]))
        q = np.arange(0.0, q_max, step)
        spectra, nodes = _spectra(different, units, q, reach)
        return cls(
            spectra=spectra,
            shape_of=shape_of.astype(np.int64),
            q=q.astype(np.float32),
            nodes=nodes,
            nn_distance=np.asarray(nn_distance, dtype=np.float32),
            grid=grid,
            fine=np.asarray(fine, dtype=np.float64),
            sines=(2 / np.pi * step * np.sin(np.outer(q, fine))).astype(np.float32),
            ranges=ranges,
            compared_to=compared_to,
            scatterers=np.array([mean_numbers(structure) for structure in structures], dtype=np.float32) if given_elements else None,
        )

    def __call__(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """(B, 2, R) standardised PDFs under conditions of their own."""
        ranges = self.ranges
        names = tuple(MeasuredLike.model_fields)
        drawn = {name: _between(getattr(ranges, name), len(rows), rng) for name in names}
        unit: Floats = self.nn_distance[rows][:, None] * drawn["metal"]
        window = self._window(drawn["qmin"] * unit, drawn["qmax"] * unit)
        fq = self._fq(rows, drawn["uiso"] / unit**2, drawn["delta2"] / unit**2, drawn["strain"]) * window
        damping = np.exp(-0.5 * (drawn["qdamp"] * unit * self.fine) ** 2).astype(np.float32)
        clean = np.asarray((fq @ self.sines) * damping, dtype=np.float32)
        noise = np.asarray((rng.standard_normal(fq.shape, dtype=np.float32) * window) @ self.sines, dtype=np.float32)
        near = int(np.searchsorted(self.fine, self.compared_to, side="right"))
        loudness = _rms(clean[:, :near])
        amplitude = drawn["noise"] * loudness / np.maximum(_rms(noise[:, :near]), 1e-12)
        line: Floats = _signs(rng, len(rows)) * drawn["baseline"] * loudness * (self.fine / self.fine[near - 1]).astype(np.float32)
        measured = np.asarray(clean + amplitude * noise + line, dtype=np.float32)
        at = self.grid * (first_neighbour_distances(self.fine, measured, np.reciprocal(drawn["expected"])) * drawn["zoom"])
        assumed = np.maximum(drawn["qdamp"] + _signs(rng, len(rows)) * drawn["qdamp_error"], 0.0)
        g, known = sample_rows(self.fine, measured, at)
        angstrom = at * unit
        if self.scatterers is None:
            return standardise(g / envelope(angstrom, assumed), known & (angstrom >= drawn["rmin"]) & (angstrom <= drawn["rmax"]))
        bond = (at[:, :1] / self.grid[0] * unit)[:, 0]
        first = np.minimum(drawn["rmin"], shortest_known(bond)[:, None])
        channels = standardise(g / envelope(angstrom, assumed), known & (angstrom >= first) & (angstrom <= drawn["rmax"]))
        return with_elements(channels, bond, self.scatterers[rows])

    def _window(self, low: Floats, high: Floats) -> Floats:
        """(B, Q): 1 between the limits (B, 1), the covered share of the step at the ends, 0 outside."""
        step = self.q[1] - self.q[0]
        window: Floats = np.clip((self.q - low) / step + 0.5, 0.0, 1.0) * np.clip((high - self.q) / step + 0.5, 0.0, 1.0)
        return window

    def _fq(self, rows: NDArray[np.int64], uiso: Floats, delta2: Floats, strain: Floats) -> Floats:
        """(B, Q) for U, delta2 and strain, (B, 1), in units of d_nn."""
        width = np.maximum(1.0 - delta2 / self.nodes**2, 0.0) * uiso + 0.5 * (strain * self.nodes) ** 2
        damping = np.exp(-(self.q**2)[None, :, None] * width[:, None, :])
        total: Floats = np.einsum("bqm,bqm->bq", damping, self.spectra[self.shape_of[rows]])
        return total


def mean_numbers(structure: Structure) -> tuple[float, float]:
    """Mean atomic number of the cations and of the anion of a compound.

    Raises:
        StoreError: it has no cation or no anion.
    """
    roles = cations_and_anion(structure.symbols)
    if roles is None:
        raise StoreError(f"{structure.label}: {structure.formula} is no compound of cations and one anion.")
    cations, anion = roles
    return float(atomic_numbers(cations).mean()), float(atomic_numbers([anion])[0])


def _signs(rng: np.random.Generator, count: int) -> Floats:
    return np.where(rng.random((count, 1)) < 0.5, -1.0, 1.0).astype(np.float32)


def _between(limits: tuple[float, float], count: int, rng: np.random.Generator) -> Floats:
    drawn: Floats = rng.uniform(limits[0], limits[1], size=(count, 1)).astype(np.float32)
    return drawn


def _rms(values: Floats) -> Floats:
    root: Floats = np.sqrt((values**2).mean(axis=1, keepdims=True))
    return root


def _extent(structure: Structure) -> float:
    """An upper bound of the largest distance between two atoms, Å."""
    return 2.0 * float(np.linalg.norm(structure.positions - structure.positions.mean(axis=0), axis=1).max())


def _spectra(structures: Sequence[Structure], units: NDArray[np.float64], q: NDArray[np.float64], reach: float) -> tuple[Floats, Floats]:
    """Spectra (S, Q, M) and node distances (M,), some structures at a time: the spectra's own fine grids take ten times the room."""
    shortest = min(shortest_distance(structure.positions) / unit for structure, unit in zip(structures, units, strict=True))
    alike: dict[tuple[str, ...], list[int]] = {}
    for row, structure in enumerate(structures):
        alike.setdefault(structure.elements, []).append(row)
    table = np.zeros(0, dtype=np.float32)
    nodes = np.zeros(0)
    for rows in alike.values():
        for start in range(0, len(rows), SPECTRA_AT_A_TIME):
            part = rows[start : start + SPECTRA_AT_A_TIME]
            made = spectra_of(
                [structures[row] for row in part],
                q_max=float(q[-1]),
                max_zoom=1.01,
                lengths=units[part],
                resolution=True,  # strain widens peaks with distance, as Qbroad does
                reach=reach,
                shortest=min(shortest, reach),
            )
            if not len(table):
                nodes = made.nodes
                table = np.empty((len(structures), len(q), len(nodes)), dtype=np.float32)
            table[part] = _tabulated(made, q)
    return table, nodes.astype(np.float32)


def _tabulated(made: Spectra, q: NDArray[np.float64]) -> Floats:
    """(S, Q, M): F_m at the given q, summed over the pairs of elements by what they scatter."""
    import torch

    at = torch.from_numpy(q.astype(np.float32))[None]
    table: Floats = np.zeros((len(made), len(q), len(made.nodes)), dtype=np.float32)
    for row, values in enumerate(torch.as_tensor(made.values)):
        pairs = [interpolate(pair[None], at, made.dq, made.origin)[0].numpy() for pair in values]
        weights = made.row(row).pair_weights(q / made.lengths[row])[0]
        table[row] = np.einsum("pq,pqm->qm", weights, np.stack(pairs))
    return table
