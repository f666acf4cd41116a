"""What the owner of a server sets, and what a client may ask of a solve."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.runtime.ray_session import usable_cores
from deepstruc_hpc.solve.config import SolveSettings

MEBIBYTE = 2**20


class NotAllowedError(DeepstrucError):
    """A request that the server refuses: a limit is reached, a job is not in the state for it. Its text is shown to the client."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def default_workers() -> int:
    """One core stays free for the pages and for the person at the machine."""
    return max(1, usable_cores() - 1)


class Limits(Config):
    """What one client may take of the server."""

    file_bytes: int = Field(20 * MEBIBYTE, ge=1, description="bytes of one file; a G(r) of 30 Å in steps of 0.01 Å has 0.1 MiB")
    files_per_job: int = Field(500, ge=1, description="files of one job")
    curves_per_job: int = Field(2000, ge=1, description="curves of one job; an HDF5 file may hold many")
    jobs_per_user: int = Field(200, ge=1, description="jobs that a user keeps; older ones are deleted by hand")
    bytes_per_user: int = Field(2048 * MEBIBYTE, ge=1, description="bytes of all files that a user has uploaded and not deleted")
    requests_per_second: float = Field(20.0, gt=0, description="requests of a user, on average; a page that watches a job needs one")
    requests_at_once: int = Field(700, ge=1, description="requests that may come in a burst: a folder of files is uploaded one by one")
    wrong_tokens_per_minute: int = Field(10, ge=1, description="of one address, before it is asked to wait")


class ServeSettings(Config):
    """A server: where it keeps its data, how many workers it has, what it allows."""

    data: Path = Field(description="directory of the database, the uploads and the results")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0: any that is free")
    root_path: str = Field("", pattern=r"^(/[\w.~-]+)*$", description="path under which a proxy shows the application, such as /pdf")
    trusted_proxies: str = Field("127.0.0.1", description="addresses whose X-Forwarded headers are believed")
    workers: int = Field(default_factory=default_workers, ge=0, le=1024, description="curves solved at a time; 0: none, the queue waits")
    niceness: int = Field(5, ge=0, le=19, description="added to the niceness of the workers, so that pages answer while they compute")
    time_limit_s: float = Field(600.0, gt=0, description="seconds that one curve may take")
    model: str | None = Field(None, description="checkpoint or name; default: the one that comes with the package")
    catalog: str | None = Field(None, description="store or name; default: the one that comes with the package")
    limits: Limits = Limits()


Element = Annotated[str, StringConstraints(pattern=r"^[A-Z][a-z]?$")]
_ANGSTROM, _INVERSE = 1000.0, 100.0
"""Upper bounds of lengths (Å) and of Q (Å⁻¹) that a client may ask for: beyond any measurement of total scattering."""


class JobSettings(Config):
    """What a client may set: the sample, the instrument and how much is tried. What is left out comes from each file's header, else the default."""

    renamed: ClassVar[Mapping[str, str]] = {"neighbours": "local_shapes"}

    composition: str | None = Field(None, max_length=200, description="formula of the sample, such as CeO2, Pt3Ni or Au144 S60")
    elements: tuple[Element, ...] = Field((), max_length=12, description="elements of the sample, where its formula is not known")
    sample: Literal["metal", "alloy", "compound", "cluster", "ligands", "support"] | None = Field(None, description="what the sample is taken for")
    radiation: Literal["xray", "neutron"] | None = Field(None, description="default: from the header, else xray")
    rmin: float | None = Field(None, ge=0, le=_ANGSTROM, description="Å; default 2")
    rmax: float | None = Field(None, gt=0, le=_ANGSTROM, description="Å; default: the end of the data, at most 30")
    qmin: float | None = Field(None, ge=0, le=_INVERSE, description="Å⁻¹")
    low_q: float | None = Field(None, ge=0, le=_INVERSE, description="Å⁻¹ below which nothing of a measurement is trusted")
    qmax: float | None = Field(None, gt=0, le=_INVERSE, description="Å⁻¹")
    qdamp: float | None = Field(None, ge=0, le=1, description="Å⁻¹, of a calibrant")
    qbroad: float | None = Field(None, ge=0, le=1, description="Å⁻¹, of a calibrant")
    samples: int | None = Field(None, ge=0, le=5000, description="structures that the model proposes; default 1000")
    latent_search: int | None = Field(None, ge=0, le=1000, description="structures decoded in the search for better latent points; default 100")
    local_shapes: int | None = Field(None, ge=0, le=2000, description="changed shapes that the local search fits; default 400")
    sources: tuple[Literal["cvae", "catalog", "large", "crystals", "alloys"], ...] | None = Field(
        None, min_length=1, max_length=5, description="where candidates come from; default: all of these"
    )
    mixtures: bool | None = Field(None, description="also try two phases, and several sizes of one type")
    seed: int | None = Field(None, ge=0, le=2**31, description="of the random numbers: same seed, same file, same answer")

    def solve_settings(self) -> SolveSettings:
        """The settings of solve, checked as the command checks them.

        Raises:
            NotAllowedError: one that solve refuses, in its words.
        """
        from deepstruc_hpc.core.config import validate_config
        from deepstruc_hpc.solve.measurement.describe import check_sample_options

        given = {name: value for name, value in self.model_dump().items() if value not in (None, ())}
        try:
            settings = validate_config(SolveSettings, given, source="settings")
            check_sample_options(settings)
        except DeepstrucError as wrong:
            raise NotAllowedError(re.sub(r"--(\w)", r"\1", str(wrong)), status=422) from wrong
        return settings
