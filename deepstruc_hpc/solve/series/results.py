"""What is kept of one frame: its row, the evidence for each state, and the answers that neighbours may ask for instead."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.physics.crystal_refine import CrystalFit
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.checks.checks import Answer, check
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.ranking.ranking import Ranking, rank
from deepstruc_hpc.solve.run.output import SUMMARY_COLUMNS
from deepstruc_hpc.solve.series.frames import METADATA, Frame

FOLLOWED = 0.2
"""Share of the weight from which size and lattice of a phase beside others are followed: those of a weaker one take up what is wrong with the
rest."""
LEAST_EVIDENCE = 1e-6
"""Of a state in a frame, below which no answer with it is kept: two changes of state cost more than neighbours can pay for less."""
MOST_OTHERS = 2
"""Answers with other states that are kept of a frame."""
PARAMETERS = ("scale", "lattice", "lattice_err", "uiso", "size_err")
ROW_COLUMNS = (
    *("frame", "file", "order", *METADATA),
    *SUMMARY_COLUMNS[1:],
    *("type_smoothed_probability", "change_point", "how", "note"),
    *PARAMETERS,
)
"""Columns of ``series.csv``."""
EDGE = {"fcc": math.sqrt(2.0), "bcc": 2.0 / math.sqrt(3.0), "octahedral": math.sqrt(2.0)}
"""Lattice constant over the nearest-neighbour distance; of other shapes that distance itself is told."""

Floats = NDArray[np.float64]
Curve = NDArray[np.float32]


class Measures(TypedDict):
    """What is followed along a series.

    Attributes:
        size: mean and standard deviation of ln(diameter/Å) over the sizes that fit alike; None for one without an end.
        lattice: Å, constant and its standard uncertainty; None where there is none.
    """

    size: tuple[float, float] | None
    lattice: tuple[float, float] | None


@dataclass
class FrameResult:
    """One frame, as JSON keeps it.

    Attributes:
        number: of the frame.
        file: its path.
        file_hash: of its bytes, empty where it cannot be read.
        how: ``full``, ``warm`` or ``failed``.
        row: columns of ``series.csv`` that the frame has by itself.
        state: of rank 1, see :func:`state_of`; empty where there is no answer.
        evidence: ln of the probability of each state.
        others: state → row of the best answer with it.
        measures: name of a phase, empty for a single one → what is followed along a series.
        notes: why it was solved as it was, one sentence each.
        guessed_qdamp: Å⁻¹, where neither an option nor the header says it; else None.
    """

    number: int
    file: str
    file_hash: str = ""
    how: str = "failed"
    row: dict[str, Any] = field(default_factory=dict)
    state: str = ""
    evidence: dict[str, float] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    measures: dict[str, Measures] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    guessed_qdamp: float | None = None


def state_of(candidate: Candidate) -> str:
    """What is smoothed along a series: the lattice of a metal's particle, formula and type of a crystal, or those of all phases."""
    if candidate.phases is not None:
        return " + ".join(sorted(f"{formula} {group}" for formula, group in candidate.phases.fit.names))
    known = candidate.crystal_fit.candidate if candidate.crystal_fit is not None else candidate.crystal
    if known is None:
        return candidate.on_lattice
    return known.group if len(known.crystal.composition) == 1 else f"{known.formula} {known.group}"


def result_of(frame: Frame, answer: Answer, settings: SolveSettings, grid: Floats | None) -> tuple[FrameResult, dict[str, Curve]]:
    """What is kept of an answer, and curves on the grid of the series: ``g``, ``calculated``, and one by the name of each other state."""
    ranking = answer.ranking
    ok = answer.verdict.status == "ok"
    found = FrameResult(frame.number, str(frame.item.path), how="warm")
    found.row = _row(answer, {})
    curve = answer.measurement.curve
    if answer.measurement.origin["qdamp"] == "default":
        found.guessed_qdamp = answer.measurement.instrument.qdamp
    r = curve.r if grid is None else grid
    curves = {"g": on_grid(r, curve.r, curve.g), "calculated": on_grid(r, answer.fit["r"].to_numpy(), answer.fit["g_calc"].to_numpy())}
    if len(r) != len(curve.r) or np.abs(r - curve.r).max() > 1e-6:
        found.notes.append("its points of r are not those of the first frame: interpolated onto them in series.h5")
    if not ok:
        return found, curves
    states = np.array([state_of(one) for one in ranking.candidates])
    shares = {state: float(ranking.probability[states == state].sum()) for state in dict.fromkeys(states.tolist())}
    found.state = str(states[0])
    found.evidence = {state: math.log(max(share, 1e-300)) for state, share in shares.items() if share > LEAST_EVIDENCE**2 or state == found.state}
    found.measures = measures_of(ranking)
    others = sorted((state for state in shares if state != found.state and shares[state] > LEAST_EVIDENCE), key=lambda state: -shares[state])
    for state in others[:MOST_OTHERS]:
        other = check(rank(ranking.candidates.take(states == state), ranking.posterior), answer.measurement, settings)
        if other.verdict.status == "ok":
            found.others[state] = {**_row(other, {"probability": shares[state]}), "measures": measures_of(other.ranking)}
            curves[state] = on_grid(r, other.fit["r"].to_numpy(), other.fit["g_calc"].to_numpy())
    return found, curves


def measures_of(ranking: Ranking) -> dict[str, Measures]:
    """Size and lattice of each phase of rank 1 that is strong enough; of a single one under the empty name."""
    phases = ranking.first.phases
    if phases is None:
        return {"": {"size": sizes_of(ranking), "lattice": lattice_of_first(ranking)}}
    strong = [part for part, weight in zip(phases.fit.parts, phases.fit.weights, strict=True) if weight >= FOLLOWED]
    return {f"{part.candidate.formula} {part.candidate.group}": {"size": _size(part), "lattice": _lattice(part)} for part in strong}


def _size(fitted: CrystalFit) -> tuple[float, float] | None:
    """Of a crystal: ln of its diameter in Å and the uncertainty of that."""
    if fitted.bulk or fitted.diameter is None:
        return None
    return math.log(fitted.diameter), max((fitted.diameter_error or 0.0) / fitted.diameter, 1e-3)


def _lattice(fitted: CrystalFit) -> tuple[float, float]:
    """Of a crystal: a and its uncertainty, Å."""
    return fitted.cell[0], max(fitted.cell_error[0], 1e-5)


def _row(answer: Answer, over: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of one answer."""
    ranking, fits = answer.ranking, answer.ranking.candidates.row(0)
    row: dict[str, Any] = {"status": answer.verdict.status, "message": answer.message, "rw": fits["rw"], "n_candidates": len(ranking), **answer.row}
    if answer.verdict.status == "ok":
        size, lattice = sizes_of(ranking), lattice_of_first(ranking)
        row |= {"scale": fits["scale"], "uiso": fits["uiso"]}
        if lattice is not None:
            row |= {"lattice": lattice[0], "lattice_err": lattice[1]}
        if size is not None:
            row["size_err"] = math.exp(size[0]) * size[1]
    return {**{name: _plain(value) for name, value in row.items()}, **over}


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def sizes_of(ranking: Ranking) -> tuple[float, float] | None:
    """Mean and standard deviation of ln(diameter/Å) over the candidates of rank 1's type, weighted by what their fits say; None for one without end.

    Sizes of particles come in steps; the mean over those that fit alike does not.
    """
    first = ranking.first
    if first.crystal_fit is not None:
        return _size(first.crystal_fit)
    ours = np.flatnonzero(ranking.candidates.types == ranking.first.kind)
    ours = np.array([place for place in ours if ranking.candidates.candidates[place].crystal_fit is None])
    weights = ranking.alike[ours] / ranking.alike[ours].sum()
    size = np.log([ranking.candidates.candidates[place].diameter * ranking.candidates.zoom[place] for place in ours])
    mean = float(weights @ size)
    return mean, max(float(np.sqrt(weights @ (size - mean) ** 2)), 1e-3)


def lattice_of_first(ranking: Ranking) -> tuple[float, float] | None:
    """Å: a of a crystal, of fcc and bcc particles; of other metal shapes the nearest-neighbour distance; None for what has no length of its own."""
    first, fits = ranking.first, ranking.candidates.row(0)
    if first.crystal_fit is not None:
        return _lattice(first.crystal_fit)
    error = float(fits["zoom_err"])
    error = error if math.isfinite(error) and error > 0 else 1e-3
    length = first.length
    if first.cut is not None:
        length = float(np.linalg.norm(first.cut.crystal.lattice[0]))
    elif length:
        length *= EDGE.get(first.on_lattice, 1.0)
    return (length * float(fits["zoom"]), length * error) if length else None


def on_grid(grid: Floats, r: Floats, values: Floats) -> Curve:
    """A curve on other points, NaN beyond its own."""
    return np.interp(grid, r, values, left=np.nan, right=np.nan).astype(np.float32)


def table_of(frames: list[Frame], rows: list[dict[str, Any]]) -> pd.DataFrame:
    """``series.csv``: one row a frame in order."""
    whole = []
    for frame, row in zip(frames, rows, strict=True):
        known = {"frame": frame.number, "file": str(frame.item.path), "order": frame.order, **{name: frame.noted.get(name) for name in METADATA}}
        whole.append({**known, **row})
    table = pd.DataFrame(whole, columns=list(ROW_COLUMNS))
    numbers = [*METADATA, "rw", "probability", "seconds", "diameter", "diameter_low", "diameter_high", "size_spread"]
    numbers += ["type_smoothed_probability", "change_point", *PARAMETERS]
    return table.astype({**dict.fromkeys(numbers, float), "n_atoms": "Int64", "n_candidates": "Int64"})
