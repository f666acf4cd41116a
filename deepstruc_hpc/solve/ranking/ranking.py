"""Candidates in order of their posterior, and the probability of each structure type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.ranking.posterior import Posterior

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Candidates in order of rank.

    Attributes:
        candidates: C of them, fitted, rank 1 first.
        score: (C,) nats, best 0.
        probability: (C,), the sum is 1.
        alike: (C,) what the fits alone say, relative to the best of the type.
        posterior: that made the order.
        types: one row a structure type: structure_type, probability, best_rw, best_n_atoms, n_candidates, lattice. The types of the most probable
            lattice come first, in order of their best candidates; the others by probability.
    """

    candidates: CandidateSet
    score: Floats
    probability: Floats
    alike: Floats
    posterior: Posterior
    types: pd.DataFrame

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def first(self) -> Candidate:
        """Rank 1."""
        return self.candidates.candidates[0]

    @property
    def lattice_probability(self) -> float:
        """Of the lattice of rank 1: fcc and octahedral are one, as are the orderings of an alloy."""
        own = self.types["lattice"].eq(self.types["lattice"].iloc[0])
        return float(self.types["probability"][own].sum())

    def reordered(self, order: NDArray[np.intp], score: Floats, probability: Floats) -> Ranking:
        """The same candidates in another order, with other scores and probabilities (C,), given in the present order."""
        ranked = self.candidates.take(order)
        types = _type_table(ranked, probability[order])
        return Ranking(ranked, score[order], probability[order], self.alike[order], self.posterior, types)

    def frame(self) -> pd.DataFrame:
        """One row a candidate: rank, what it is, its fit, score and probability."""
        table = self.candidates.frame().assign(score=self.score, probability=self.probability, alike=self.alike)
        table.insert(0, "rank", np.arange(1, len(table) + 1))
        return table


def rank(candidates: CandidateSet, posterior: Posterior) -> Ranking:
    """Order fitted candidates by posterior; :mod:`deepstruc_hpc.solve.ranking.posterior` gives the reasons.

    Args:
        candidates: those whose Rw is not finite are left out.
        posterior: of these candidates.
    """
    fitted = candidates.fitted()
    kinds, lattices, rw = fitted.types, fitted.lattices, fitted.rw
    score = posterior.score(rw, fitted.complexity, list(kinds))
    score = score - score.max(initial=-np.inf)
    share = posterior.shares(kinds, fitted.listed, score)
    # mean atoms are too small for a heavy core and too large for a heavy shell: each ordering has sizes of its own
    groups = np.array([one.kind if one.lattice else one.on_lattice for one in fitted], dtype=str)
    sized = score + posterior.size_terms(fitted.n_atoms.astype(float), rw, score, groups)
    total, probability, alike = np.zeros(len(fitted)), np.zeros(len(fitted)), np.zeros(len(fitted))
    for lattice in dict.fromkeys(lattices):
        ours = lattices == lattice
        pooled = sum(share[kind] for kind in dict.fromkeys(kinds[ours]))
        total[ours] = sized[ours] - sized[ours].max() + np.log(max(pooled, 1e-300))
    for kind in share:
        ours = kinds == kind
        weight = np.exp(sized[ours] - sized[ours].max())
        probability[ours] = share[kind] * weight / weight.sum()
        alike[ours] = np.exp(score[ours] - score[ours].max())
    total -= total.max(initial=-np.inf)
    order = np.lexsort((rw, -total))
    ranked = fitted.take(order)
    return Ranking(ranked, total[order], probability[order], alike[order], posterior, _type_table(ranked, probability[order]))


def _type_table(candidates: CandidateSet, probability: Floats) -> pd.DataFrame:
    kinds, lattices, rw, n_atoms = candidates.types, candidates.lattices, candidates.rw, candidates.n_atoms
    rows = []
    for kind in dict.fromkeys(kinds):
        ours = np.flatnonzero(kinds == kind)
        rows.append(
            {
                "structure_type": str(kind),
                "probability": float(probability[ours].sum()),
                "best_rw": float(rw[ours[0]]),
                "best_n_atoms": int(n_atoms[ours[0]]),
                "n_candidates": len(ours),
                "lattice": str(lattices[ours[0]]),
            }
        )
    table = pd.DataFrame(rows, columns=["structure_type", "probability", "best_rw", "best_n_atoms", "n_candidates", "lattice"])
    if table.empty:
        return table
    first = table["lattice"].eq(table["lattice"].iloc[0])
    return pd.concat([table[first], table[~first].sort_values("probability", ascending=False, kind="stable")], ignore_index=True)
