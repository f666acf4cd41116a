"""Settings of solve: what changes an answer is here, what only changes how fast it comes is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.physics.evidence import constants
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.solve.instrument_file import InstrumentValues, read_instrument

SOURCES = ("cvae", "catalog", "large", "crystals", "alloys", "structures")
"""Asked by default, each where it has something for the sample."""

FOUND = constants()
"""Constants of the posterior, from benchmarks/calibrate_posterior.py."""
USUAL = Instrument()
"""What is assumed of an instrument that nobody describes."""
DEFAULT_RMAX = 30.0
"""Å: beyond it a fit of explicit atoms costs more than it tells; crystals use what the data hold."""
DEFAULT_LOW_Q = 1.2
"""Å⁻¹. Below it a curve holds small-angle scattering, cut off somewhere, and rest of the background (Farrow & Billinge, Acta Cryst. A65 (2009) 232).
The first Bragg peak of every metal and oxide with a cell of up to about 5 Å lies above (2π/d, d ≤ 5.2 Å), so what is lost is information on the
particle's shape alone. A crystal of layers that are farther apart loses the peak of that distance.

It counts whatever Qmin a header names. A curve that begins at 0.8 Å⁻¹ fits at Rw 0.019 then, with a header of 0, 0.1, 0.5, 0.8, 1.2 or none; where
a Qmin of 0.5 or more was believed, at 0.035 with 0.5 and at 0.053 with 1.2. Where the header is right nothing is lost: 28 simulated measurements
(benchmarks/solve_unseen.py) give the same types right, the same share of sizes right and the same median Rw."""


LEAST_MEASURED_Q = 0.5
"""Å⁻¹. Detectors of total scattering begin at 0.5 to 1 Å⁻¹; a smaller Qmin in a header is what programs write when nobody sets it. A particle of 35 Å
measured from 0.8 Å⁻¹ fits at Rw 0.02 with a header that says 0.5, and at 0.47 with one that says 0.1 (docs/engine.md)."""


class RankSettings(Config):
    """How fits become probabilities: :mod:`deepstruc_hpc.solve.ranking.posterior`. Defaults are those that simulated measurements gave."""

    renamed: ClassVar[Mapping[str, str]] = {"tell_apart": "indistinguishable"}

    model_error: float = Field(FOUND.model_error, ge=0, description="Rw that no rigid particle is expected to beat; less counts little")
    points_per_datum: float = Field(
        FOUND.points_per_datum, gt=0, description="independent points of the curve that together count as one: residuals are correlated"
    )
    prior_weight: float = Field(FOUND.prior_weight, ge=0, le=1, description="share of the model's prior over types; the rest is uniform")
    complexity_penalty: float = Field(
        FOUND.complexity_penalty, ge=0, description="nats that one more fault, defect or free shape parameter must gain"
    )
    sharpness: float = Field(FOUND.sharpness, gt=0, description="power with which the candidates of a type are averaged; 1: their mean")
    doubt: float = Field(FOUND.doubt, ge=0, le=1, description="share of the probability that none of what was tried is right, spread over the types")
    size_temper: float = Field(FOUND.size_temper, ge=0, le=1, description="power of the fits when candidates of a lattice agree on a size")
    size_width: float = Field(
        FOUND.size_width, ge=0, description="width of that agreement in ln(number of atoms), in units of the best Rw; 0: sizes by fit alone"
    )
    indistinguishable: float = Field(0.1, gt=0, lt=1, description="a second type at or above this probability is said not to be resolved")


class RefusalSettings(Config):
    """When a curve is out of domain, so that no candidate is an answer; the rules stand in ``deepstruc_hpc.solve.ranking.applicability``."""

    rw_refuse: float = Field(0.6, gt=0, description="best Rw of explicit atoms above which the curve is refused")
    rw_warn: float = Field(0.4, gt=0, description="best Rw above which the answer carries a warning")
    tail_ratio: float = Field(0.2, gt=0, description="RMS of G beyond the best candidate over RMS within it, above which the candidate is too small")
    noise_ratio: float = Field(
        0.7, gt=0, description="power of F(Q) in the upper third of Q over that in the lower third, from which a curve is noise"
    )
    crystal_refuse: float = Field(0.7, gt=0, description="Rw above which a crystal found from elements alone is no answer")
    least_crystal: float = Field(
        12.0, ge=0, description="Å across, below which a crystal may be a cluster or amorphous; with a poor fit it is refused"
    )
    least_margin: float = Field(0.04, ge=0, description="by how much Rw the next net must be worse where the fit is poor")
    crystal_mismatch: float = Field(
        0.085,
        gt=0,
        description="share by which the lengths of a crystal found from elements alone may differ from those that radii predict before a warning; "
        "33 of 35 known oxides, halides and others lie within it",
    )
    unexplained_peak: float = Field(
        0.12,
        gt=0,
        description="height over the highest one, from which a peak shorter than any distance of the candidate brings a warning; in oxides that of "
        "metal and oxygen has 0.1 to 1",
    )
    ripples: float = Field(0.33, gt=0, description="amplitude of G(r) below the shortest bond, over that of its peaks, from which a warning is given")
    broad_part: float = Field(0.33, gt=0, description="share of the amplitude of G(r) that is taken out below low_q, from which a warning is given")
    bond_mismatch: float = Field(0.06, gt=0, description="share by which the nearest neighbours may differ from the metal's before a warning")
    bond_refuse: float = Field(0.12, gt=0, description="share from which, with a poor fit, other elements are named as the reason")


class SolveSettings(Config):
    """One PDF's settings. None means: from the file's header, else the default that the option names."""

    renamed: ClassVar[Mapping[str, str]] = {"neighbours": "local_shapes", "relax": "refine_positions"}
    printed_by: ClassVar[str] = "deepstruc-hpc solve --print-config"

    samples: int = Field(1000, ge=0, le=100_000, description="CVAE samples a PDF, over all levels of sigma together")
    sigma: tuple[float, ...] = Field((3.0, 5.0, 7.0), description="widths of the sampling about the prior's mean, in units of its standard deviation")
    sources: tuple[str, ...] = Field(SOURCES, description="where candidates come from; names of added sources, too")
    elements: tuple[str, ...] = Field((), description="elements of the sample; empty: from composition, else from the header")
    composition: str | None = Field(None, description="formula of the sample, such as CeO2, Pt3Ni or Au144 S60; default: from the header")
    sample: Literal["metal", "alloy", "compound", "cluster", "ligands", "support"] | None = Field(
        None, description="what the sample is taken for; default: from elements or composition"
    )
    structures_sizes: bool = Field(False, description="also try the inner parts of the structures given, as smaller particles")
    most_atoms: int = Field(5000, ge=10, le=20_000, description="atoms of the largest particle that is cut on the fly")
    radiation: Literal["xray", "neutron"] | None = Field(None, description="default xray")
    rmin: float = Field(2.0, ge=0, description="Å")
    rmax: float | None = Field(None, gt=0, description=f"Å; default the end of the data, at most {DEFAULT_RMAX:g}")
    qmin: float | None = Field(None, ge=0, description=f"Å⁻¹; default {USUAL.qmin:g}")
    low_q: float | None = Field(
        None,
        ge=0,
        description=f"Å⁻¹ below which nothing of a measurement is trusted: taken out of data and model; 0: off. Default: {DEFAULT_LOW_Q:g}",
    )
    qmax: float | None = Field(None, gt=0, description=f"Å⁻¹; default {USUAL.qmax:g}")
    qdamp: float | None = Field(None, ge=0, description=f"Å⁻¹; default {USUAL.qdamp:g}")
    qbroad: float | None = Field(None, ge=0, description="Å⁻¹; default 0")
    instrument: InstrumentValues | None = Field(None, description="values of an instrument file (or its path), from deepstruc-hpc calibrate")
    seed: int = Field(0, ge=0, description="seed of the run; each file draws its own numbers from it")
    latent_search: int = Field(100, ge=0, le=100_000, description="structures decoded in the search for better latent points; 0: none")
    local_shapes: int = Field(
        400,
        ge=0,
        le=100_000,
        description="changed shapes that the local search fits, over all types together; above 1000 atoms one counts by its pairs; 0: none",
    )
    terms: bool = Field(True, description="try terms of ligands, solvent or amorphous carbon beside a metal; kept only where the evidence pays")
    strain: bool = Field(True, description="refine surface contraction and radial strain of rank 1, a metal; kept only where the evidence pays")
    refine_positions: bool = Field(False, description="also move the atoms of rank 1 under the data, restrained, into relaxed-001.xyz; ranks stay")
    keep: int = Field(10, ge=1, le=1000, description="best structures written as XYZ and CIF")
    verify: Literal["srfit", "srreal"] | None = Field(
        None, description="srfit: refine the best ten again with it; srreal: calculate them again with it; both are written side by side"
    )
    mixtures: bool = Field(False, description="try a second phase and a distribution of sizes; kept only where it explains more than it costs")
    rank: RankSettings = RankSettings()
    refusal: RefusalSettings = RefusalSettings()

    @field_validator("sigma", mode="before")
    @classmethod
    def _split_numbers(cls, value: Any) -> Any:
        return tuple(part for part in value.split(",") if part.strip()) if isinstance(value, str) else _as_tuple(value)

    @field_validator("sources", "elements", mode="before")
    @classmethod
    def _split_words(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else _as_tuple(value)

    @field_validator("instrument", mode="before")
    @classmethod
    def _read_instrument(cls, value: Any) -> Any:
        if not isinstance(value, str | Path):
            return value
        return read_instrument(Path(value).expanduser()).model_dump(exclude={"calibration"})

    @model_validator(mode="after")
    def _consistent(self) -> SolveSettings:
        if not self.sources:
            raise ValueError(f"at least one source of candidates is needed: {', '.join(SOURCES)}")
        if not self.sigma or min(self.sigma) <= 0:
            raise ValueError("sigma needs positive numbers, for example 3,5,7")
        if self.rmax is not None and self.rmax <= self.rmin:
            raise ValueError(f"rmax ({self.rmax:g} Å) must be larger than rmin ({self.rmin:g} Å)")
        if self.qmax is not None and self.low_q is not None and self.low_q >= self.qmax:
            raise ValueError(f"low_q ({self.low_q:g} Å⁻¹) must be smaller than qmax ({self.qmax:g} Å⁻¹); 0 takes nothing out")
        if self.qmin is not None and self.qmax is not None and self.qmax <= self.qmin:
            raise ValueError(f"qmax ({self.qmax:g} Å⁻¹) must be larger than qmin ({self.qmin:g} Å⁻¹)")
        return self

    def fingerprint(self, *parts: str) -> str:
        """A short hash of the settings and whatever else decides an answer (ids of model and catalog)."""
        text = json.dumps([self.model_dump(mode="json"), *parts], sort_keys=True)
        return blake2b(text.encode(), digest_size=12).hexdigest()


def _as_tuple(value: Any) -> Any:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | set) else (value,) if isinstance(value, int | float) else value
