"""How strongly an atom scatters: X-ray form factors f(Q) and neutron coherent lengths b."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import ConfigError, StructureError
from deepstruc_hpc.core.shapes import Float64, Numbers, Real

Radiation = Literal["xray", "neutron"]
Q_LIMIT = 75.0
"""Å⁻¹: the table of X-ray form factors ends at sinθ/λ = 6 Å⁻¹, Q = 24π Å⁻¹."""


def xray_form_factor(symbol: str, q: Real[Numbers, " *shape"]) -> Float64[NDArray[np.float64], " *shape"]:
    """X-ray form factor f(Q) of a neutral atom or an ion, without f′ and f″.

    f(Q) = c + Σ aₖ exp(−bₖ (Q/4π)²), five Gaussians. f(0) is the fitted value (Au: 78.967, not 79).

    Args:
        symbol: ``Au``, or an ion such as ``O2-``, ``Ce4+``.
        q: Å⁻¹, any shape, 0 ≤ Q ≤ 75.

    Returns:
        Electrons, the shape of ``q``.

    Raises:
        StructureError: for an element or ion that the table lacks.
        ConfigError: for Q beyond the table.

    Source: Waasmaier & Kirfel, Acta Cryst. A51 (1995) 416, as carried by the package periodictable.
    """
    from periodictable import cromermann

    values = np.asarray(q, dtype=np.float64)
    if values.size and np.abs(values).max() > Q_LIMIT:
        raise ConfigError(f"Q = {np.abs(values).max():g} Å⁻¹: X-ray form factors are tabulated up to {Q_LIMIT:g} Å⁻¹. Choose a smaller Qmax.")
    try:
        return np.asarray(cromermann.fxrayatq(_table_name(symbol), values), dtype=np.float64)
    except (KeyError, ValueError, AttributeError) as unknown:
        raise StructureError(f"{symbol!r}: no X-ray form factor for this element or ion. Use a symbol such as Au or O2-.") from unknown


@lru_cache(maxsize=256)
def neutron_length(symbol: str) -> float:
    """Coherent neutron scattering length b of an element (natural isotopes), fm; constant in Q. The charge of an ion is ignored.

    Raises:
        StructureError: for an unknown element, or one without a measured length (Po).

    Source: Sears (1992) and later revisions, as carried by the package periodictable (O: 5.8037 fm, where older tables have 5.805).
    """
    neutron = _element(symbol).neutron
    if neutron.b_c is None:
        raise StructureError(f"{symbol}: no neutron scattering length is known. Use X-ray radiation for it.")
    return float(neutron.b_c)


@lru_cache(maxsize=256)
def covalent_radius(symbol: str) -> float:
    """Covalent radius of an element, Å (Cordero et al., Dalton Trans. (2008) 2832, through periodictable); 1 Å where the table has none."""
    radius = _element(symbol).covalent_radius
    return 1.0 if radius is None else float(radius)


@lru_cache(maxsize=256)
def atomic_mass(symbol: str) -> float:
    """Atomic mass of an element (or ion), u, as carried by the package periodictable.

    Raises:
        StructureError: for an unknown element.
    """
    return float(_element(symbol).mass)


def scattering_factors(
    symbols: tuple[str, ...], q: Float64[NDArray[np.float64], " q"], radiation: Radiation
) -> Float64[NDArray[np.float64], "elements q"]:
    """Factors of several elements at the same Q.

    Args:
        symbols: E element symbols.
        q: (Q,) Å⁻¹.
        radiation: ``xray`` or ``neutron``.

    Returns:
        (E, Q): electrons, or fm.
    """
    if radiation == "xray":
        return np.stack([xray_form_factor(symbol, q) for symbol in symbols])
    if radiation == "neutron":
        return np.stack([np.full(len(q), neutron_length(symbol)) for symbol in symbols])
    raise ConfigError(f"radiation {radiation!r}: choose 'xray' or 'neutron'.")


def element_of(symbol: str) -> str:
    """The element of an atom or ion: ``O2-`` → ``O``."""
    return symbol.rstrip("+-0123456789")


def _element(symbol: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - periodictable is untyped
    from periodictable import elements

    try:
        return elements.symbol(element_of(symbol))
    except (ValueError, KeyError) as unknown:
        raise StructureError(f"{symbol!r}: not a chemical element. Use a symbol such as Au.") from unknown


def _table_name(symbol: str) -> str:
    """The table's spelling of an ion: ``O2-`` and ``Na1+`` as they are, ``Na+`` → ``Na1+``; deuterium scatters X-rays as hydrogen."""
    name = element_of(symbol)
    charge = symbol[len(name) :]
    _element(symbol)
    if charge in {"+", "-"}:
        charge = f"1{charge}"
    return ("H" if name in {"D", "T"} else name) + charge
