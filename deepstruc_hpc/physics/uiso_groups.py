"""Which atoms share one displacement parameter U, and when data carry more than one.

In a compound the light atoms move more than the heavy ones. Each element belongs to a group, each group has its U, and a pair of atoms has
σᵢⱼ² = (Uᵢ + Uⱼ) s(d) as in :mod:`deepstruc_hpc.physics.widths`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.shapes import Bool, Float64, Int64
from deepstruc_hpc.physics.evidence import gain, parameter_price
from deepstruc_hpc.physics.form_factors import element_of
from deepstruc_hpc.physics.histogram import class_pairs

Float = NDArray[np.float64]
Grouping = Mapping[str, str] | Literal["auto"] | None

ANIONS = frozenset({"O", "S", "Se", "Te", "N", "P", "As", "F", "Cl", "Br", "I", "H", "D", "T", "C"})
"""Elements that :func:`automatic_groups` takes for anions; all others are cations."""
MOST_METALS = 3
"""Of metals without anions :func:`automatic_groups` gives each element its own U up to this many; more share one."""
CLOSE_TO_BEST = 1.3
"""``uiso_groups="auto"`` tries several U only for candidates whose Rw with one U is at most this many times the lowest of all candidates.

It saves time: only candidates that may be the answer are fitted twice. One U hides which candidate is right, so the limit must not be narrow. Of
300 spheres of CeO2 (radii 6 to 11 Å) fitted with one U to the curve of Ce65O137 with U of 0.003 and 0.012 Å² (X-rays, Qmax 25 Å⁻¹, 2 to 20 Å, no
noise) the lowest Rw is 0.0986, of Ce69O140, and the right one's 0.1027; with two U the right one has 0.0000 (benchmarks/fit_uiso_groups.py). A
candidate beyond the limit keeps one U; name the groups to give all candidates several.
"""
RW_ACCURACY = 1e-4
"""Rw below this is rounding of the engine (single precision, interpolation): no difference of it counts for or against more U."""


@dataclass(frozen=True)
class UisoGroups:
    """The groups of the elements of one batch.

    Attributes:
        elements: E symbols in the order of ``Spectra.elements``.
        names: of the G groups, sorted.
        numbers: (E,) the group of each element.
    """

    elements: tuple[str, ...]
    names: tuple[str, ...]
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, elements: Sequence[str], names: Mapping[str, str]) -> UisoGroups:
        """Groups of some elements by the names of their groups; an element that is not named makes a group of its own.

        Args:
            elements: symbols; ions (``O2-``) belong to the group of their element unless they are named themselves.
            names: symbol → name of its group.
        """
        own = [names.get(symbol, names.get(element_of(symbol), element_of(symbol))) for symbol in elements]
        distinct = tuple(sorted(set(own)))
        return cls(tuple(elements), distinct, tuple(distinct.index(name) for name in own))

    def __len__(self) -> int:
        return len(self.names)

    def pairs(self) -> Int64[NDArray[np.int64], "pairs 2"]:
        """(P, 2) groups of the two elements of each pair of elements, in the order of ``class_pairs``."""
        return np.array([(self.numbers[a], self.numbers[b]) for a, b in class_pairs(len(self.elements))], dtype=np.int64)

    def shares(self) -> Float64[Float, "pairs groups"]:
        """(P, G) what each group's U counts in the mean U of each pair of elements: 0, ½ or 1."""
        return np.asarray(np.eye(len(self))[self.pairs()].mean(axis=1))

    def parts(self, fractions: Float64[Float, "clusters elements"]) -> Float64[Float, "clusters groups"]:
        """(C, G) share of the atoms in each group, from (C, E) shares of the elements."""
        return np.asarray(fractions @ np.eye(len(self))[list(self.numbers)])

    def by_element(self, values: Float64[Float, "clusters groups"]) -> list[dict[str, float]]:
        """C dicts element → value, from (C, G) values of the groups; empty dicts where there is one group."""
        if len(self) == 1:
            return [{} for _ in values]
        return [{symbol: float(row[number]) for symbol, number in zip(self.elements, self.numbers, strict=True)} for row in values]


def check_groups(groups: Any) -> None:
    """Refuse what is no grouping.

    Raises:
        ConfigError: saying what was given.
    """
    if groups is None or (isinstance(groups, str) and groups == "auto"):
        return
    if not isinstance(groups, Mapping) or not all(isinstance(text, str) for pair in groups.items() for text in pair):
        raise ConfigError(
            f"uiso_groups: found {groups!r}; None, 'auto' or element symbols with names of groups, {{'Ce': 'cation', 'O': 'anion'}}, are needed."
        )


def automatic_groups(elements: Sequence[str]) -> UisoGroups:
    """The groups that ``uiso_groups="auto"`` tries: cations and anions; of metals alone each element, up to three; otherwise one."""
    anions = [element_of(symbol) in ANIONS for symbol in elements]
    if any(anions):
        return UisoGroups.of(elements, {symbol: "anion" if anion else "cation" for symbol, anion in zip(elements, anions, strict=True)})
    few = len({element_of(symbol) for symbol in elements}) <= MOST_METALS
    return UisoGroups.of(elements, {} if few else dict.fromkeys(elements, "all"))


def more_groups_pay(
    cost_one: Float64[Float, " clusters"], cost_groups: Float64[Float, " clusters"], *, n_groups: int, n_independent: float, norm: float
) -> Bool[NDArray[np.bool_], " clusters"]:
    """Whether the data carry G values of U rather than one: the Bayesian information criterion with n independent points.

    With Gaussian errors of unknown size the maximum of ln L is −(n/2) ln(Σr²) + constant, and G − 1 more parameters cost (G − 1)/2 · ln n:
    (n/2) ln(cost₁/cost_G) > (G − 1)/2 · ln n.

    Args:
        cost_one: (C,) Σr² with one U.
        cost_groups: (C,) Σr² with G.
        n_groups: G.
        n_independent: n.
        norm: Σ of squares of the data; costs are counted from ``RW_ACCURACY``² of it.

    Returns:
        (C,).

    Source: Schwarz, Ann. Statist. 6 (1978) 461.
    """
    rounding = RW_ACCURACY**2 * norm + 1e-300
    return np.asarray(gain(cost_one + rounding, cost_groups + rounding, n_independent) > parameter_price(n_groups - 1, n_independent))


def uiso_of_atoms(symbols: Sequence[str], parameters: Mapping[str, Any]) -> float | Float64[Float, " atoms"]:
    """U of the atoms of a fitted candidate, Å²: (N,) where the fit has several U, a number where it has one.

    Args:
        symbols: of the N atoms.
        parameters: a row of a fit's table: ``uiso``, and ``uiso_by_element`` where there is one.

    Raises:
        ConfigError: ``uiso_by_element`` is no mapping (as read from a text file), or lacks an element.
    """
    each = parameters.get("uiso_by_element")
    if each is None or (isinstance(each, float) and math.isnan(each)):
        return float(parameters["uiso"])
    if not isinstance(each, Mapping):
        raise ConfigError(f"uiso_by_element: found {each!r}; a mapping of element symbols to U in Å² is needed.")
    if not each:
        return float(parameters["uiso"])
    missing = sorted(set(symbols) - set(each))
    if missing:
        raise ConfigError(
            f"uiso_by_element has no U for {', '.join(missing)}; found {', '.join(sorted(each))}. Give each element of the structure a U in Å²."
        )
    return np.array([float(each[symbol]) for symbol in symbols])
