"""Phases that explain a curve together: which of them is the answer, which a support, and how they are told."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.physics.crystal_fit import CrystalFit
from deepstruc_hpc.physics.crystal_phases import PhasesFit
from deepstruc_hpc.solve.measurement.sample import Sample
from deepstruc_hpc.structures.elements import is_metal

CARRIERS = (frozenset(("Al", "O")), frozenset(("Si", "O")), frozenset(("C",)))
"""Elements of matter that carries other matter, whatever that is."""
CARRIERS_OF_METALS = tuple(frozenset((symbol, "O")) for symbol in ("Ti", "Zr", "Ce", "Mg"))
"""Oxides that are supports beside a metal, and matter of their own beside another oxide."""
NUMBERS = {2: "two", 3: "three"}


@dataclass(frozen=True, eq=False)
class PhaseSet:
    """Phases of one curve.

    Attributes:
        fit: of all of them, the largest weight first.
        supports: (P,) whether each carries the others.
    """

    fit: PhasesFit
    supports: tuple[bool, ...]

    @classmethod
    def of(cls, fit: PhasesFit, sample: Sample) -> PhaseSet:
        """With what the sample says of a support."""
        held = [set(part.candidate.crystal.composition) for part in fit.parts]
        supports = tuple(carries(own, [other for number, other in enumerate(held) if number != place], sample) for place, own in enumerate(held))
        return cls(fit, supports)

    @property
    def main(self) -> int:
        """The phase that the answer is named after: the largest weight of those that are no support."""
        return next((place for place, support in enumerate(self.supports) if not support), 0)

    @property
    def crystal_fit(self) -> CrystalFit:
        """The main phase, with the curve and the Rw of all phases."""
        return replace(self.fit.parts[self.main], rw=self.fit.rw, calculated=self.fit.calculated, n_parameters=self.fit.n_parameters)

    @property
    def elements(self) -> set[str]:
        """Of all phases."""
        return {symbol for part in self.fit.parts for symbol in part.candidate.crystal.composition}

    @cached_property
    def shortest(self) -> float:
        """Å, the shortest distance in any phase."""
        return min(part.crystal.bond_length for part in self.fit.parts)

    @property
    def reach(self) -> float:
        """Å, how far the largest phase is coherent; infinite for one without an end."""
        return max(part.diameter or math.inf for part in self.fit.parts)

    @cached_property
    def labels(self) -> list[str]:
        """Formula of each, with the type where another phase has the same formula."""
        formulas = [part.candidate.formula for part in self.fit.parts]
        types = [part.candidate.group.replace("_", " ") for part in self.fit.parts]
        return [formula if formulas.count(formula) == 1 else f"{formula} {kind}" for formula, kind in zip(formulas, types, strict=True)]

    def shares(self) -> str:
        """Weight shares for the summary: ``NiO 0.62; Ni 0.38``."""
        return "; ".join(f"{name} {share:.2f}" for name, share in zip(self.labels, self.fit.weights, strict=True))

    def names(self) -> str:
        """The phases in words: ``NiO rock salt and Ni fcc``."""
        return " and ".join(_name(part) for part in self.fit.parts)

    def words(self, alone: float) -> str:
        """For the message.

        Args:
            alone: Rw of the best single candidate; infinite where none was fitted.
        """
        listed = []
        for part, share, error, support in zip(self.fit.parts, self.fit.weights, self.fit.weight_errors, self.supports, strict=True):
            size = f"{part.diameter:.0f} Å" if part.diameter is not None else f"more than {part.at_least:.0f} Å"
            listed.append(f"{100 * share:.0f} ± {max(100 * error, 1.0):.0f} % {_name(part)} ({size}{', the support' if support else ''})")
        many = NUMBERS.get(len(listed), str(len(listed)))
        single = f", the best single one {alone:.3f}" if math.isfinite(alone) else ""
        return f"{many} phases: {', '.join(listed)} by weight; together Rw {self.fit.rw:.3f}{single}"

    def table(self) -> pd.DataFrame:
        """One row a phase: formula, type, share of the weight, cell, U, delta2, diameter, with standard uncertainties; lengths in Å, U in Å²."""
        rows = []
        for place, part in enumerate(self.fit.parts):
            cell = dict(zip("abc", part.cell, strict=True))
            cell |= {f"{name}_err": value for name, value in zip("abc", part.cell_error, strict=True)}
            rows.append(
                {
                    "formula": part.candidate.formula,
                    "structure_type": part.candidate.group,
                    "prototype": part.candidate.prototype,
                    "role": "support" if self.supports[place] else "main" if place == self.main else "",
                    "weight_fraction": float(self.fit.weights[place]),
                    "weight_fraction_err": float(self.fit.weight_errors[place]),
                    "atom_fraction": part.scale / max(sum(one.scale for one in self.fit.parts), 1e-300),
                    **cell,
                    "uiso": " ".join(f"{symbol}={value:.4g}" for symbol, value in part.uiso.items()),
                    "delta2": part.delta2,
                    "diameter": part.diameter,
                    "diameter_err": part.diameter_error,
                    "diameter_low": part.at_least,
                    "rw_of_rest": part.rw,
                }
            )
        return pd.DataFrame(rows)

    def details(self) -> dict[str, Any]:
        """For result.json."""
        columns = ["formula", "structure_type", "role", "weight_fraction", "weight_fraction_err", "diameter", "rw_of_rest"]
        rows = self.table()[columns].astype(object).to_dict("records")
        plain = [{str(name): _plain(value) for name, value in row.items()} for row in rows]
        return {"rw": round(self.fit.rw, 6), "n_parameters": self.fit.n_parameters, "phases": plain}


def _name(part: CrystalFit) -> str:
    return f"{part.candidate.formula} {part.candidate.prototype.replace('_', ' ')}"


def _plain(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return round(value, 5) if isinstance(value, float) else value


def carries(own: set[str], others: list[set[str]], sample: Sample) -> bool:
    """Whether a phase is a support: named as one, or matter that usually is; some other phase must hold none of its cations.

    Args:
        own: elements of the phase.
        others: elements of each other phase.
        sample: what the curve is taken for.
    """
    cations = {symbol for symbol in own if is_metal(symbol) or symbol in {"Si", "C"}}
    foreign = [other for other in others if not cations & other]
    if not foreign:
        return False
    metallic = any(all(is_metal(symbol) for symbol in other) for other in foreign)
    named = bool(sample.on_support) and not own & set(sample.on_support) and any(other & set(sample.on_support) for other in foreign)
    return named or own in CARRIERS or (metallic and own in CARRIERS_OF_METALS)
