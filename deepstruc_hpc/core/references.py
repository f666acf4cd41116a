"""What to cite: the program, the paper it builds on, and the libraries whose results are in an answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deepstruc_hpc.core.version import __version__

RELEASED = "2026-11-29"
"""Date of this version."""


@dataclass(frozen=True)
class Reference:
    """One thing to cite.

    Attributes:
        key: of its BibTeX entry.
        role: what it did.
        authors: family name, given names.
        title: of the paper or the program.
        venue: journal, proceedings or archive, with volume and pages.
        year: of publication.
        doi: without the resolver; empty where there is none.
        url: where there is no DOI.
    """

    key: str
    role: str
    authors: tuple[tuple[str, str], ...]
    title: str
    venue: str
    year: int
    doi: str = ""
    url: str = ""

    def text(self) -> str:
        """One paragraph, as in a list of references."""
        names = [f"{given} {family}".strip() for family, given in self.authors]
        shown = ", ".join(names) if len(names) <= MOST_AUTHORS else f"{names[0]} et al."
        where = f"doi:{self.doi}" if self.doi else self.url
        return f"{shown}: {self.title}. {self.venue} ({self.year}). {where}".rstrip()

    def bibtex(self) -> str:
        """One entry."""
        fields = {
            "author": " and ".join(f"{family}, {given}" if given else f"{{{family}}}" for family, given in self.authors),
            "title": f"{{{self.title}}}",
            "howpublished": self.venue,
            "year": str(self.year),
            "doi": self.doi,
            "url": self.url,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@misc{{{self.key},", *lines, "}"])


MOST_AUTHORS = 8
"""Authors that the text names; of more it names the first."""

PROGRAM = Reference(
    "deepstruc_hpc",
    "this program",
    (("The deepstruc_hpc developers", ""),),
    "deepstruc_hpc: from measured pair distribution functions of nanomaterials to atomic structures",
    f"Version {__version__}",
    int(RELEASED[:4]),
)
PAPER = Reference(
    "kjaer2023deepstruc",
    "the method this program builds on",
    (
        ("Kjær", "Emil T. S."),
        ("Anker", "Andy S."),
        ("Weng", "Marcus N."),
        ("Billinge", "Simon J. L."),
        ("Selvan", "Raghavendra"),
        ("Jensen", "Kirsten M. Ø."),
    ),
    "DeepStruc: towards structure solution from pair distribution function data using deep generative models",
    "Digital Discovery 2, 69-80",
    2023,
    "10.1039/D2DD00086E",
)
FORM_FACTORS = Reference(
    "waasmaier1995",
    "X-ray form factors",
    (("Waasmaier", "D."), ("Kirfel", "A.")),
    "New analytical scattering-factor functions for free atoms and ions",
    "Acta Crystallographica A 51, 416-431",
    1995,
    "10.1107/S0108767394013292",
)
DIFFPY = Reference(
    "juhas2015",
    "refinement with diffpy.srfit, calculation with diffpy.srreal",
    (("Juhás", "Pavol"), ("Farrow", "Christopher L."), ("Yang", "Xiaohao"), ("Knox", "Kevin R."), ("Billinge", "Simon J. L.")),
    "Complex modeling: a strategy and software program for combining multiple information sources to solve ill posed structure and nanostructure "
    "inverse problems",
    "Acta Crystallographica A 71, 562-568",
    2015,
    "10.1107/S2053273315014473",
)
PROTOTYPES = Reference(
    "mehl2017",
    "types of crystals from the elements alone (AFLOW prototypes, as pymatgen carries them)",
    (
        ("Mehl", "Michael J."),
        ("Hicks", "David"),
        ("Toher", "Cormac"),
        ("Levy", "Ohad"),
        ("Hanson", "Robert M."),
        ("Hart", "Gus"),
        ("Curtarolo", "Stefano"),
    ),
    "The AFLOW library of crystallographic prototypes: part 1",
    "Computational Materials Science 136, S1-S828",
    2017,
    "10.1016/j.commatsci.2017.01.017",
)
PYMATGEN = Reference(
    "ong2013",
    "crystals and CIF files",
    (
        ("Ong", "Shyue Ping"),
        ("Richards", "William Davidson"),
        ("Jain", "Anubhav"),
        ("Hautier", "Geoffroy"),
        ("Kocher", "Michael"),
        ("Cholia", "Shreyas"),
        ("Gunter", "Dan"),
        ("Chevrier", "Vincent L."),
        ("Persson", "Kristin A."),
        ("Ceder", "Gerbrand"),
    ),
    "Python Materials Genomics (pymatgen): a robust, open-source python library for materials analysis",
    "Computational Materials Science 68, 314-319",
    2013,
    "10.1016/j.commatsci.2012.10.028",
)
SPGLIB = Reference(
    "togo2024",
    "symmetry of crystals",
    (("Togo", "Atsushi"), ("Shinohara", "Kohei"), ("Tanaka", "Isao")),
    "Spglib: a software library for crystal symmetry search",
    "Science and Technology of Advanced Materials: Methods 4, 2384822",
    2024,
    "10.1080/27660400.2024.2384822",
)
PYTORCH = Reference(
    "paszke2019",
    "the generative model",
    (
        ("Paszke", "Adam"),
        ("Gross", "Sam"),
        ("Massa", "Francisco"),
        ("Lerer", "Adam"),
        ("Bradbury", "James"),
        ("Chanan", "Gregory"),
        ("Killeen", "Trevor"),
        ("Lin", "Zeming"),
        ("Gimelshein", "Natalia"),
        ("Antiga", "Luca"),
    ),
    "PyTorch: an imperative style, high-performance deep learning library",
    "Advances in Neural Information Processing Systems 32",
    2019,
    url="https://arxiv.org/abs/1912.01703",
)
GEOMETRIC = Reference(
    "fey2019",
    "the generative model",
    (("Fey", "Matthias"), ("Lenssen", "Jan Eric")),
    "Fast graph representation learning with PyTorch Geometric",
    "ICLR workshop on representation learning on graphs and manifolds",
    2019,
    url="https://arxiv.org/abs/1903.02428",
)
RAY = Reference(
    "moritz2018",
    "distribution over cores and nodes",
    (
        ("Moritz", "Philipp"),
        ("Nishihara", "Robert"),
        ("Wang", "Stephanie"),
        ("Tumanov", "Alexey"),
        ("Liaw", "Richard"),
        ("Liang", "Eric"),
        ("Elibol", "Melih"),
        ("Yang", "Zongheng"),
        ("Paul", "William"),
        ("Jordan", "Michael I."),
    ),
    "Ray: a distributed framework for emerging AI applications",
    "13th USENIX Symposium on Operating Systems Design and Implementation, 561-577",
    2018,
    url="https://www.usenix.org/conference/osdi18/presentation/moritz",
)

ALWAYS = (PROGRAM, PAPER, FORM_FACTORS)
BY_SOURCE = {
    "cvae": (PYTORCH, GEOMETRIC),
    "crystals": (PROTOTYPES, PYMATGEN, SPGLIB),
    "structures": (PYMATGEN,),
}
"""Sources of candidates → what their candidates come from."""
ALL = (*ALWAYS, DIFFPY, PROTOTYPES, PYMATGEN, SPGLIB, PYTORCH, GEOMETRIC, RAY)


def references_for(sources: Iterable[str], *, verified: bool = False) -> list[Reference]:
    """What to cite for results whose candidates came from these sources, each once.

    Args:
        sources: of the answers, such as ``cvae`` or ``crystals``.
        verified: whether diffpy refined or calculated them again.
    """
    found = [*ALWAYS, *([DIFFPY] if verified else [])]
    for source in sources:
        found += [one for one in BY_SOURCE.get(source, ()) if one not in found]
    return [*found, RAY]


def citation_file() -> str:
    """``CITATION.cff`` of the program, version 1.2.0 of the format."""
    paper = "\n".join(f"      - family-names: {family}\n        given-names: {given}" for family, given in PAPER.authors)
    return f"""cff-version: 1.2.0
message: If you use this program, please cite it and the paper it builds on. "deepstruc-hpc cite" lists the libraries, too.
type: software
title: "{PROGRAM.title}"
version: {__version__}
date-released: {RELEASED}
license: Apache-2.0
authors:
  - name: {PROGRAM.authors[0][0]}
keywords:
  - pair distribution function
  - nanoparticles
  - structure solution
references:
  - type: article
    title: "{PAPER.title}"
    authors:
{paper}
    journal: Digital Discovery
    volume: 2
    start: 69
    end: 80
    year: {PAPER.year}
    doi: {PAPER.doi}
"""
