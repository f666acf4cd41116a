"""What a catalog does not know of itself and a publication should say: the data's licence and its authors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from deepstruc_hpc.core.errors import ConfigError

Division = Literal["shape", "random", "prototype"]
"""How structures are divided into sets: by fingerprint, by id, or by structure type (the prototype of a compound, the ordering of an alloy)."""

_ORCID = re.compile(r"\s*\(?(?:https://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])\)?\s*$")
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


@dataclass(frozen=True)
class Provenance:
    """Licence and authors.

    Attributes:
        licence: SPDX identifier of the data's licence, such as CC-BY-4.0; empty where none is stated.
        authors: names, each with an ORCID behind it where there is one: ``Ada Lovelace 0000-0002-1825-0097``.
    """

    licence: str = ""
    authors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.licence and not _SPDX.fullmatch(self.licence):
            raise ConfigError(f"--licence {self.licence}: not an SPDX identifier. Use one of https://spdx.org/licenses/, for example CC-BY-4.0.")

    @property
    def licence_url(self) -> str:
        """Page of the licence; empty where none is stated."""
        return f"https://spdx.org/licenses/{self.licence}" if self.licence else ""

    @property
    def people(self) -> list[tuple[str, str]]:
        """(name, URL of the ORCID or empty) of each author."""
        found = []
        for author in self.authors:
            orcid = _ORCID.search(author)
            found.append((_ORCID.sub("", author).strip(), f"https://orcid.org/{orcid[1]}" if orcid else ""))
        return found


@dataclass(frozen=True)
class Options:
    """What formats with a description of their own need besides the catalog.

    Attributes:
        split: by which division the files are train, validation and test.
        provenance: licence and authors.
    """

    split: Division = "shape"
    provenance: Provenance = Provenance()
