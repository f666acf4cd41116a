"""What the posterior needs of a solved curve, and no more: the candidates with their fits, and which types are right. Solved once, fitted often."""

from __future__ import annotations

import gzip
import json
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from posterior_set import Simulated, crystal_of, simulated
from solve_alloys import OF_CRYSTALS
from solve_compounds import TABLE, same_phase

from deepstruc_hpc.core.config import validate_config
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.checks.checks import Answer
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.pipeline import solve_curve
from deepstruc_hpc.solve.ranking.ranking import Ranking
from deepstruc_hpc.solve.run.artefacts import NamedArtefacts, resolve_sources
from deepstruc_hpc.solve.run.worker import Solver, WorkerPlan
from deepstruc_hpc.structures.crystals import Crystal
from deepstruc_hpc.structures.lattices import lattice_of

KEPT = 16
"""Candidates of each type, listed or found, that are kept by Rw however badly they fit."""
NEAR, FAR = 2.0, 4.0
"""All are kept whose Rw is within these factors of the best one of their group and of the curve: (1/2)¹² of the likelihood where 12 data count."""
COLUMNS = ("type", "lattice", "group", "listed", "rw", "complexity", "n_atoms", "diameter", "error", "length")
JUDGED = 8
"""Types whose crystals are compared with the truth, in order of Rw; the others are taken for wrong."""


def solver() -> Solver:
    """With everything that the command uses by default."""
    found = resolve_sources(NamedArtefacts(), SolveSettings().sources)
    return Solver(WorkerPlan(Path(), SolveSettings(), model=found.model, catalog=found.catalog))


def collect(part: str, numbers: Iterable[int], out: Path, *, seconds: float) -> int:
    """Solve the curves that are not there yet, until the time is over; how many were solved."""
    engine, started, done = solver(), time.monotonic(), 0
    entries = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    (out / part).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        place = out / part / f"{number:05d}.json.gz"
        if place.exists():
            continue
        if time.monotonic() - started > seconds:
            break
        temporary = place.with_suffix(".tmp")
        with gzip.open(temporary, "wt", encoding="utf-8") as file:
            json.dump(row_of(part, number, simulated(part, number), engine, entries), file, default=float)
        temporary.rename(place)
        done += 1
    return done


def row_of(part: str, number: int, one: Simulated, engine: Solver, entries: dict[str, Any]) -> dict[str, Any]:
    """One curve solved: its truth, what was said of it, and the candidates."""
    begin = time.process_time()
    head: dict[str, Any] = {"part": part, "number": number, "kind": one.kind, "truth": one.truth}
    settings = validate_config(SolveSettings, one.given, source="given")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = solve_curve(one.curve, settings, engine.sources(settings))
    except DeepstrucError as refused:
        return {**head, "status": "failed", "message": str(refused), "cpu": time.process_time() - begin}
    head |= {"status": answer.verdict.status, "message": answer.message, "cpu": time.process_time() - begin}
    crystal = crystal_of(one.truth["entry"], entries) if one.kind == "compound" else None
    return {**head, **_facts(answer), **_candidates(answer.ranking, one, crystal)}


def _facts(answer: Answer) -> dict[str, Any]:
    """What the program says, and the numbers of the curve that a likelihood may count."""
    measurement, ranking = answer.measurement, answer.ranking
    instrument, belief = measurement.instrument, ranking.candidates.belief
    types = ranking.types
    first = ranking.first
    fit = first.crystal_fit
    thin = max(int(np.pi / instrument.qmax / 1.1 / float(np.median(np.diff(answer.fit["r"])))), 1)
    lengths: dict[str, Any] = {"length": float(first.length * ranking.candidates.zoom[0])}
    if fit is not None:
        lengths |= {"cell": list(fit.cell), "cell_error": list(fit.cell_error), "rw_fit": fit.rw, "n_fit": fit.n_independent, "k": fit.n_parameters}
    if first.phases is not None:
        joint = first.phases.fit
        lengths |= {"labels": list(first.phases.labels), "shares": list(joint.weights), "share_errors": list(joint.weight_errors)}
    return {
        "range": [measurement.rmin, measurement.rmax, max(instrument.qmin, measurement.low_q), instrument.qmax],
        "extent": ranking.candidates.extent,
        "belief": None if belief is None else {name: float(value) for name, value in belief.types.items()},
        "stated": {str(name): float(share) for name, share in zip(types["structure_type"], types["probability"], strict=True)},
        "first": {
            "type": first.kind,
            "lattice": first.on_lattice,
            "n_atoms": first.n_atoms,
            "bulk": bool(fit is not None and fit.bulk),
            "crystal": fit is not None,
            "cut": first.cut is not None,
            "size_spread": first.size_spread,
            "diameter": float(first.diameter * ranking.candidates.zoom[0]),
            "zoom_error": float(ranking.candidates.row(0)["zoom_err"] / ranking.candidates.zoom[0]),
            **lengths,
        },
        "intervals": dict(answer.details.get("intervals", {})),
        "flags": list(answer.verdict.flags),
        "residual": [[round(float(value), 4) for value in answer.fit[name].to_numpy()[::thin]] for name in ("r", "g_obs", "difference")],
    }


def _candidates(ranking: Ranking, one: Simulated, crystal: Crystal | None) -> dict[str, Any]:
    """Columns of the candidates that count, how many there are in each group, and which types are right."""
    found, rows, counts = ranking.candidates, [], {}
    types, listed = found.types, np.asarray(found.listed)
    best = float(found.rw.min())
    for kind in dict.fromkeys(types.tolist()):
        for was_listed in (True, False):
            ours = np.flatnonzero((types == kind) & (listed == was_listed))
            if not len(ours):
                continue
            counts[f"{kind}|{int(was_listed)}"] = len(ours)
            order = ours[np.argsort(found.rw[ours], kind="stable")]
            near = found.rw[order] < min(NEAR * float(found.rw[order[0]]), FAR * best)
            rows += order[near | (np.arange(len(order)) < KEPT)].tolist()
    table: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for place in rows:
        candidate, zoom = found.candidates[place], float(found.zoom[place])
        fit = candidate.crystal_fit
        own = (fit.diameter_error or 0.0) / fit.diameter if fit is not None and fit.diameter else 0.0
        values = (
            str(types[place]),
            candidate.on_lattice,
            candidate.kind if candidate.lattice else candidate.on_lattice,
            bool(listed[place]),
            round(float(found.rw[place]), 4),
            round(float(found.complexity[place]), 2),
            candidate.n_atoms or 0,
            0.0 if fit is not None and fit.bulk else round(candidate.diameter * zoom, 2),
            round(own, 5),
            round(candidate.length * zoom, 4),
        )
        for name, value in zip(table, values, strict=True):
            table[name].append(value)
    return {"candidates": table, "counts": counts, "right": _right(found, one, crystal)}


def _right(found: CandidateSet, one: Simulated, crystal: Crystal | None) -> list[str]:
    """Types that are right: of the true lattice, or of the true crystal by geometry, no name decides."""
    types, right = found.types, []
    order = list(dict.fromkeys(types[np.argsort(found.rw, kind="stable")].tolist()))
    for number, kind in enumerate(order):
        places = np.flatnonzero(types == kind)
        best = found.candidates[places[int(np.argmin(found.rw[places]))]]
        if one.kind == "mixture":
            names = set() if best.phases is None else {label.split(",")[0] for label in best.phases.labels}
            if names == set(one.truth["phases"]):
                right.append(str(kind))
        elif crystal is None:
            own = OF_CRYSTALS.get(str(kind), ("", ""))[1] or lattice_of(best.on_lattice)
            if own == one.truth["lattice"]:
                right.append(str(kind))
        elif number < JUDGED and (known := crystal_of_candidate(best)) is not None and best.phases is None and same_phase(known, crystal):
            right.append(str(kind))
    return right


def crystal_of_candidate(candidate: Candidate) -> Crystal | None:
    """As fitted, or as it was cut."""
    if candidate.crystal_fit is not None:
        return candidate.crystal_fit.crystal
    return None if candidate.cut is None else candidate.cut.crystal


def read(out: Path, part: str) -> list[dict[str, Any]]:
    """All rows of a part, in order of number."""
    rows = []
    for place in sorted((out / part).glob("*.json.gz")):
        with gzip.open(place, "rt", encoding="utf-8") as file:
            rows.append(json.load(file))
    return rows
