"""From fits to an order, probabilities, and a sentence on what the data cannot tell apart.

A candidate's score is a log posterior:

  score = −(n − k)/2 · ln(Rw² + floor²)  +  ln prior(structure type)  −  penalty · complexity

- n is the number of independent points, (rmax − rmin)(Qmax − Qmin)/π, counted up to where the best candidate ends (beyond it every candidate
  predicts nothing) and divided by ``points_per_datum``: what a rigid cluster misses (relaxed surfaces, ligands, a size distribution) it misses at
  many neighbouring points at once. The form is the marginal likelihood of a Gaussian misfit of unknown variance; the floor is the part of
  the misfit that no candidate is expected to avoid.
- k is the number of fitted parameters, the same for all, so it cancels unless a candidate has free parameters of its own.
- The prior over types is uniform, or mixed with what the model says about this curve.
- Complexity counts what a perfect convex crystal or multiply twinned particle does not have: each stacking fault, and ln(1 + orbits of empty sites
  within the outline) (:func:`deepstruc_hpc.solve.placement.complexity_of`). An outline of its own costs nothing: the list is no law of nature.

The evidence of a type is the mean over its listed shapes of exp(2·score), to the power ½: halfway between its best and its average shape. Who
tries a thousand shapes of one type finds a good fit by chance, and pays for that; a hundred sizes that fit alike count like one. Structures that
were found by searching (samples) are averaged in the same way, apart from the list, and the better of the two counts: samples that miss speak
neither for nor against a listed shape. Within a type the probability is shared in proportion to exp(score + size term).

The size term: the best of thousands of candidates fits the misfit, too (relaxed surfaces, disorder, noise), and those that a search finds are more
often too small than too large. What all good candidates of a lattice agree on is steadier: the mean of ln N under exp(``size_temper`` · score). A
candidate loses ½ (distance in ln N / width)². The width is ``size_width`` times the best Rw, since sizes mean less where even the best fits badly,
and the spread of ln N under the same weights, since there is nothing to agree with where candidates do not agree.

Probabilities of candidates add up to those of types. fcc crystals of any outline are one lattice: the order is that of (probability of the lattice) ×
(fit relative to the best of the lattice), so the first candidate belongs to the most probable lattice.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from deepstruc_hpc.solve.config import RankSettings

FITTED_PARAMETERS = 4
SHARPNESS = 2.0
LEAST_WIDTH = 0.03
"""Of ln(number of atoms): no consensus on a size is taken to be narrower."""
LATTICES = {"fcc": "fcc", "octahedral": "fcc"}
"""Types that are one crystal with different outlines."""


def rank_candidates(
    table: pd.DataFrame, *, independent_points: float, settings: RankSettings, type_prior: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Order candidates by posterior.

    Args:
        table: one row a fitted candidate with ``source``, ``catalog_id``, ``structure_type``, ``n_atoms``, ``rw`` and ``complexity``; rows
            whose rw is not finite are left out.
        independent_points: of the curve up to where the particle ends.
        settings: floor, temper and weights.
        type_prior: the model's probability of each type, or None.

    Returns:
        The rows in order of rank with the new columns ``rank``, ``score`` (nats, best 0) and ``probability`` (sums to 1).
    """
    fitted: pd.DataFrame = table[np.isfinite(table["rw"].to_numpy(dtype=float))].copy()
    if fitted.empty:
        return fitted.assign(rank=pd.Series(dtype=int), score=pd.Series(dtype=float), probability=pd.Series(dtype=float))
    prior = mixed_prior(sorted(set(fitted["structure_type"])), type_prior, settings.prior_weight)
    rw = fitted["rw"].to_numpy(dtype=float)
    score = fit_score(rw, fitted["complexity"].to_numpy(dtype=float), independent_points, settings)
    score += np.log([prior[kind] for kind in fitted["structure_type"]])
    score -= score.max()
    kinds = fitted["structure_type"].to_numpy(dtype=str)
    lattices = np.array([LATTICES.get(kind, kind) for kind in kinds])
    listed = (fitted["source"] == "catalog").to_numpy() | (fitted["catalog_id"] != "").to_numpy()
    share = type_probabilities(kinds, listed, score)
    sized = score + _size_terms(fitted["n_atoms"].to_numpy(dtype=float), rw, score, lattices, settings)
    fitted["score"], fitted["probability"], fitted["alike"] = 0.0, 0.0, 0.0
    for lattice in dict.fromkeys(lattices):
        ours = lattices == lattice
        pooled = sum(share[kind] for kind in dict.fromkeys(kinds[ours]))
        fitted.loc[ours, "score"] = sized[ours] - sized[ours].max() + np.log(max(pooled, 1e-300))
    for kind in share:
        ours = kinds == kind
        weight = np.exp(sized[ours] - sized[ours].max())
        fitted.loc[ours, "probability"] = share[kind] * weight / weight.sum()
        fitted.loc[ours, "alike"] = np.exp(score[ours] - score[ours].max())
    fitted["score"] -= fitted["score"].max()
    fitted = fitted.sort_values(["score", "rw"], ascending=[False, True], kind="stable").reset_index(drop=True)
    fitted.insert(0, "rank", np.arange(1, len(fitted) + 1))
    return fitted


def fit_score(rw: np.ndarray, complexity: np.ndarray, independent_points: float, settings: RankSettings) -> np.ndarray:
    """What a fit and its complexity are worth, (C,) nats, without the prior of the type.

    Args:
        rw: (C,) finite.
        complexity: (C,) faults and defects.
        independent_points: of the curve up to where the particle ends.
        settings: floor, temper and price of complexity.
    """
    data = max(independent_points / settings.points_per_datum - FITTED_PARAMETERS, 1.0)
    return np.asarray(-0.5 * data * np.log(rw**2 + settings.misfit_floor**2) - settings.complexity_penalty * complexity)


def _size_terms(n_atoms: np.ndarray, rw: np.ndarray, score: np.ndarray, lattices: np.ndarray, settings: RankSettings) -> np.ndarray:
    """(C,) nats that a candidate loses for lying away from the size that the candidates of its lattice agree on."""
    terms = np.zeros(len(score))
    if settings.size_width == 0:
        return terms
    size = np.log(np.maximum(n_atoms, 1.0))
    for lattice in dict.fromkeys(lattices):
        ours = lattices == lattice
        weight = np.exp(settings.size_temper * (score[ours] - score[ours].max()))
        middle = float(weight @ size[ours] / weight.sum())
        disagreement = float(weight @ (size[ours] - middle) ** 2 / weight.sum())
        width = np.hypot(max(settings.size_width * float(rw[ours].min()), LEAST_WIDTH), np.sqrt(disagreement))
        terms[ours] = -0.5 * ((size[ours] - middle) / width) ** 2
    return terms


def mixed_prior(types: list[str], model: Mapping[str, float] | None, weight: float) -> dict[str, float]:
    """Uniform over the types, mixed with the model's probabilities; types of one lattice (fcc, octahedral) share what the model says of either."""
    uniform = 1.0 / len(types)
    lattices = [LATTICES.get(kind, kind) for kind in types]
    said = dict.fromkeys(lattices, 0.0)
    for kind, probability in (model or {}).items():
        if LATTICES.get(kind, kind) in said:
            said[LATTICES.get(kind, kind)] += probability
    total = sum(said.values())
    if total <= 0:
        return dict.fromkeys(types, uniform)
    return {
        kind: (1 - weight) * uniform + weight * said[lattice] / total / lattices.count(lattice) for kind, lattice in zip(types, lattices, strict=True)
    }


def type_table(ranked: pd.DataFrame) -> pd.DataFrame:
    """One row a structure type: structure_type, probability, best_rw, best_n_atoms, n_candidates.

    The types of the most probable lattice come first, in order of their best candidates; the others by probability.
    """
    rows = [
        {
            "structure_type": kind,
            "probability": float(group["probability"].sum()),
            "best_rw": float(group["rw"].iloc[0]),
            "best_n_atoms": int(group["n_atoms"].iloc[0]),
            "n_candidates": len(group),
        }
        for kind, group in ranked.groupby("structure_type", sort=False)
    ]
    columns = ["structure_type", "probability", "best_rw", "best_n_atoms", "n_candidates"]
    table = pd.DataFrame(rows, columns=columns)
    if table.empty:
        return table
    lattice = table["structure_type"].map(lambda kind: LATTICES.get(kind, kind))
    first = lattice.eq(lattice.iloc[0])
    return pd.concat([table[first], table[~first].sort_values("probability", ascending=False, kind="stable")], ignore_index=True)


def lattice_probability(types: pd.DataFrame) -> float:
    """The probability of the first type's lattice, in :func:`type_table`: fcc and octahedral are one."""
    lattice = types["structure_type"].map(lambda kind: LATTICES.get(kind, kind))
    return float(types["probability"][lattice.eq(lattice.iloc[0])].sum())


def in_words(ranked: pd.DataFrame, types: pd.DataFrame, settings: RankSettings) -> str:
    """What a person should read: types and sizes that cannot be told apart, and what a name means."""
    first = types.iloc[0]
    lattice = LATTICES.get(str(first["structure_type"]), "")
    same = types["structure_type"].map(LATTICES).eq(lattice) & (types.index > 0)
    rivals = types[(types.index > 0) & ~same & (types["probability"] >= settings.tell_apart)]
    sentences = []
    if first["structure_type"] == "octahedral":
        sentences.append("a truncated octahedron is an fcc crystal: the lattice is fcc, the outline octahedral")
    elif lattice and (types["probability"][same] >= settings.tell_apart).any():
        sentences.append("the lattice is fcc; an octahedral outline (also an fcc crystal) fits about as well")
    if len(rivals):
        others = " or ".join(f"{row.structure_type} (Rw {row.best_rw:.3f})" for row in rivals.itertuples())
        sentences.append(f"the data cannot tell {first['structure_type']} (Rw {first['best_rw']:.3f}) from {others} apart")
    sizes = size_range(ranked[ranked["structure_type"] == first["structure_type"]])
    if sizes[0] < sizes[1]:
        sentences.append(f"within {first['structure_type']}, sizes from {sizes[0]} to {sizes[1]} atoms fit alike")
    return "; ".join(sentences)


def size_range(ranked: pd.DataFrame, share: float = 0.9) -> tuple[int, int]:
    """Smallest and largest number of atoms among the candidates that together hold the share of what the fits alone would give, best first."""
    ordered = ranked.sort_values("alike", ascending=False, kind="stable")
    weights = ordered["alike"].to_numpy(dtype=float)
    kept = ordered["n_atoms"].to_numpy()[: int(np.searchsorted(np.cumsum(weights) / weights.sum(), share)) + 1]
    return int(kept.min()), int(kept.max())


def type_probabilities(types: np.ndarray, listed: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """The probability of each structure type.

    Args:
        types: (C,) of each candidate.
        listed: (C,) whether it is a shape of the catalog; the others were found by searching.
        score: (C,) nats, the best at 0.
    """
    evidence = {}
    for kind in dict.fromkeys(types):
        ways = [score[(types == kind) & chosen] for chosen in (listed, ~listed)]
        evidence[str(kind)] = max(_power_mean(way) for way in ways if len(way))
    top = max(evidence.values())
    total = sum(np.exp(value - top) for value in evidence.values())
    return {kind: float(np.exp(value - top) / total) for kind, value in evidence.items()}


def _power_mean(score: np.ndarray) -> float:
    """The logarithm of (mean of exp(p·score))^(1/p), p = SHARPNESS."""
    best = float(score.max())
    return best + float(np.log(np.mean(np.exp(SHARPNESS * (score - best)))) / SHARPNESS)
