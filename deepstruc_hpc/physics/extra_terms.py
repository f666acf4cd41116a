"""Terms of a curve that are no part of the particle: distances of a ligand shell, halos of solvent and of an amorphous support.

Each is one curve with one amplitude, given as F(Q), so that it passes through the same transform as the candidates:

- a distance d of two elements with a width σ: w(Q) sin(Qd)/d · exp(−σ²Q²/2), with w = 2 fₐf_b/f_M² and M the metal whose amplitude normalises F(Q);
- a net of two elements: several distances xₖd with numbers nₖ, w(Q) Σ nₖ sin(Q xₖd)/(xₖd) · exp(−xₖσ²Q²/2): disorder that grows with distance;
- a halo at q₀ with a width ω: exp(−(Q−q₀)²/2ω²) − exp(−(Q+q₀)²/2ω²). In G(r) it is sin(q₀r) exp(−(r/τ)²/2), τ = 1/ω: order that fades within τ.

Amplitudes are linear. They are eliminated together with the scale, by projection (:meth:`deepstruc_hpc.physics.target.Target.without`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.physics.form_factors import Radiation, scattering_factors
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.target import low_q_part
from deepstruc_hpc.physics.transform import fq_to_gr, quadrature

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """One curve with one amplitude.

    Attributes:
        name: for people: ``Au–S``, ``solvent``.
        place: Å of a distance, Å⁻¹ of a halo.
        width: standard deviation, Å of a distance, Å⁻¹ of a halo.
        pair: the two elements of a distance; empty for a halo.
        metal: whose amplitude squared normalises F(Q) of a distance.
        net: (ratio to ``place``, number) of each distance of a net; one of ratio 1 for a distance.
        scanned: numbers that were chosen with it, beside its amplitude.
        most: how many of this name there may be at once.
    """

    name: str
    place: float
    width: float
    pair: tuple[str, ...] = ()
    metal: str = ""
    net: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    scanned: int = 2
    most: int = 1

    @property
    def is_distance(self) -> bool:
        """Whether it is a distance; its amplitude is a number of pairs, which is not negative."""
        return bool(self.pair)

    @property
    def reach(self) -> float:
        """Å, beyond which its G(r) is nothing."""
        return max(ratio for ratio, _ in self.net) * self.place + 6.0 * self.width if self.pair else 8.0 / self.width

    def fq(self, q: Float64[Float, " q"], radiation: Radiation) -> Float64[Float, " q"]:
        """F(Q) at unit amplitude.

        Args:
            q: (Q,) Å⁻¹.
            radiation: ``xray`` or ``neutron``.

        Returns:
            (Q,) Å⁻¹ of a distance, one pair a metal atom; dimensionless of a halo.
        """
        if not self.pair:
            return np.asarray(np.exp(-0.5 * ((q - self.place) / self.width) ** 2) - np.exp(-0.5 * ((q + self.place) / self.width) ** 2))
        first, second, metal = scattering_factors((*self.pair, self.metal), q, radiation)
        ratio, number = np.array(self.net).T
        d = ratio * self.place
        waves = np.sin(np.outer(q, d)) * np.exp(-0.5 * np.outer(q**2, ratio * self.width**2))
        return np.asarray(2.0 * first * second / metal**2 * (waves @ (number / d)))


def columns_of(terms: Sequence[Term], q: Float64[Float, " q"], radiation: Radiation) -> Float64[Float, "terms q"]:
    """(T, Q) F(Q) of each term at unit amplitude."""
    return np.array([term.fq(q, radiation) for term in terms]).reshape(len(terms), len(q))


def term_curves(terms: Sequence[Term], r: Float64[Float, " r"], instrument: Instrument, *, low_q: float = 0.0) -> Float64[Float, "r terms"]:
    """(R, T) Å⁻²: G(r) of each term at unit amplitude, as the data hold it.

    Args:
        terms: T of them.
        r: (R,) Å, the points of the fit and no others.
        instrument: radiation, Qmin, Qmax, Qdamp.
        low_q: Å⁻¹; what lies below max(Qmin, low_q) is taken out where it is positive.
    """
    if not terms:
        return np.zeros((len(r), 0))
    reach = float(np.abs(r).max()) + max(term.reach for term in terms)
    q, weights = quadrature(max(instrument.qmin, low_q), instrument.qmax, reach)
    curves = np.stack([fq_to_gr(row, q, weights, r, instrument.qdamp) for row in columns_of(terms, q, instrument.radiation)], axis=1)
    return curves - low_q_part(r, curves, qmin=instrument.qmin, qdamp=instrument.qdamp, low_q=low_q) if low_q > 0 else curves


@dataclass(frozen=True, eq=False)
class TermFit:
    """The terms of one fit.

    Attributes:
        amplitudes: (T,), in units of the model at scale 1 where that is a particle of the metal.
        curve: (R,) Å⁻², their sum.
        share_of_data: Σ of squares of that sum over Σ of squares of the data.
        share_of_model: Σ of squares of the part of the model that lies in the space of the terms, over Σ of squares of the model.
    """

    amplitudes: Float
    curve: Float
    share_of_data: float
    share_of_model: float


def fit_terms(
    terms: Sequence[Term],
    r: Float64[Float, " r"],
    observed: Float64[Float, " r"],
    model: Float64[Float, " r"],
    instrument: Instrument,
    *,
    low_q: float = 0.0,
) -> TermFit:
    """The amplitudes beside a model that was fitted with the terms eliminated: linear least squares of what it leaves.

    Args:
        terms: T of them.
        r: (R,) Å, the points of the fit and no others.
        observed: (R,) Å⁻².
        model: (R,) Å⁻², the particle alone, at its scale.
        instrument: radiation, Qmin, Qmax, Qdamp.
        low_q: Å⁻¹, as in the fit.
    """
    if not terms:
        return TermFit(np.zeros(0), np.zeros(len(r)), 0.0, 0.0)
    columns = term_curves(terms, r, instrument, low_q=low_q)

    def trusted(curve: Float) -> Float:
        return curve - low_q_part(r, curve, qmin=instrument.qmin, qdamp=instrument.qdamp, low_q=low_q)

    left, data, own = trusted(observed - model), trusted(observed), trusted(model)
    amplitudes = np.asarray(np.linalg.lstsq(columns, left, rcond=None)[0])
    basis = np.linalg.qr(columns)[0]
    curve = columns @ amplitudes
    inside = basis.T @ own
    return TermFit(amplitudes, curve, float(curve @ curve) / float(data @ data), float(inside @ inside) / max(float(own @ own), 1e-300))
