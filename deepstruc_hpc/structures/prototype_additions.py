"""Crystal types that matter for nanomaterials and are not among the AFLOW prototypes.

Cells in Å and degrees, positions as printed: TiO2(B) Marchand et al., Mater. Res. Bull. 15 (1980) 1129 and Feist & Davies, J. Solid State Chem. 101
(1992) 275; boehmite Corbató et al., Clays Clay Miner. 33 (1985) 71; goethite Gualtieri & Venturelli, Am. Mineral. 84 (1999) 895; heterogenite
(layered MOOH) Delaplane et al., J. Chem. Phys. 50 (1969) 1920; gamma-NiOOH (layers 7 Å apart) Oliva et al., J. Power Sources 8 (1982) 229;
birnessite Post & Veblen, Am. Mineral. 75 (1990) 477; hollandite Rossouw et al., Mater. Res. Bull. 27 (1992) 221; ramsdellite Post & Heaney, Am.
Mineral. 89 (2004) 969; beta-Ga2O3 Åhman et al., Acta Cryst. C52 (1996) 1336; WO3 Loopstra & Rietveld, Acta Cryst. B25 (1969) 1420; V2O5 Enjalbert &
Galy, Acta Cryst. C42 (1986) 1467; MoO3 Kihlborg, Ark. Kemi 21 (1963) 357; La2O3 Pauling, Z. Kristallogr. 69 (1929) 415; alpha-PbO2 Hill, Mater.
Res. Bull. 17 (1982) 769; pyrochlore Subramanian et al., Prog. Solid State Chem. 15 (1983) 55; delafossite Prewitt et al., Inorg. Chem. 10 (1971)
719; layered rock salt Orman & Wiseman, Acta Cryst. C40 (1984) 12; ferrihydrite Michel et al., Science 316 (2007) 1726; tenorite Åsbrink & Norrby,
Acta Cryst. B26 (1970) 8; cooperite Grønvold et al., Acta Chem. Scand. 14 (1960) 1879; bixbyite (In2O3) Marezio, Acta Cryst. 20 (1966) 723; gamma
alumina as a spinel with one ninth of the cation sites empty; the others as in :mod:`deepstruc_hpc.structures.crystals`. Hydrogen is left out: X-rays
hardly see it. More types are in the text file of the same name, each with its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from deepstruc_hpc.structures.crystals import PROTOTYPES, Prototype, _site


@dataclass(frozen=True)
class Addition:
    """A crystal type of our own.

    Attributes:
        name: in lower case.
        prototype: with the elements of the crystal that gave the positions.
        protons: hydrogen atoms for each anion that are not among the sites; each takes one charge.
    """

    name: str
    prototype: Prototype
    protons: float = 0.0


def _of(name: str, space_group: str, cell: tuple[float, ...], *sites: tuple[str, float, float, float], protons: float = 0.0) -> Addition:
    lengths_angles = (*cell, 90.0, 90.0, 90.0)[:6]
    a, b, c, alpha, beta, gamma = lengths_angles
    return Addition(name, Prototype(space_group, (a, b, c, alpha, beta, gamma), tuple(_site(*site) for site in sites)), protons)


_HALF = {"O": 0.5}
BIRNESSITE = Prototype(
    "C2/m",
    (5.175, 2.850, 7.337, 90.0, 103.18, 90.0),
    (_site("Mn", 0, 0, 0), _site("O", 0.376, 0, 0.133), _site(_HALF, 0.595, 0, 0.5)),
)


def _listed() -> Iterator[Addition]:
    """The types of the text file beside this module."""
    for line in Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, group, cell, sites, protons, _ = (part.strip() for part in line.split("|"))
        lengths = tuple(float(length) for length in cell.split())
        a, b, c = {1: lengths[:1] * 3, 2: (lengths[0], *lengths)}.get(len(lengths), lengths[:3])
        hexagonal = len(lengths) == 2 and group[1:].lstrip("-")[0] in "36"
        angles = (90.0, lengths[3] if len(lengths) == 4 else 90.0, 120.0 if hexagonal else 90.0)
        yield Addition(name, Prototype(group, (a, b, c, *angles), tuple(_site_of(site) for site in sites.split(";"))), float(protons))


def _site_of(words: str) -> tuple[Mapping[str, float], tuple[float, float, float]]:
    kind, *place = words.split()
    symbol, *share = kind.split(":")
    x, y, z = (float(Fraction(value)) for value in place)
    return _site({symbol: float(share[0])} if share else symbol, x, y, z)


_BY_HAND: tuple[Addition, ...] = (
    _of(
        "bronze_titania",
        "C2/m",
        (12.163, 3.735, 6.513, 90.0, 107.29, 90.0),
        ("Ti", 0.196, 0, 0.286),
        ("Ti", 0.100, 0, 0.708),
        ("O", 0.131, 0, 0.006),
        ("O", 0.263, 0, 0.655),
        ("O", 0.054, 0, 0.372),
        ("O", 0.363, 0, 0.297),
    ),
    _of("boehmite", "Cmcm", (2.868, 12.234, 3.692), ("Al", 0, 0.683, 0.25), ("O", 0, 0.287, 0.25), ("O", 0, 0.080, 0.25), protons=0.5),
    _of("goethite", "Pnma", (9.956, 3.0215, 4.608), ("Fe", 0.1463, 0.25, 0.951), ("O", 0.801, 0.25, 0.288), ("O", 0.947, 0.25, 0.803), protons=0.5),
    _of("layered_mooh", "R-3m:H", (2.855, 2.855, 13.156, 90.0, 90.0, 120.0), ("Co", 0, 0, 0), ("O", 0, 0, 0.4051), protons=0.5),
    _of("layered_mooh_wide", "R-3m:H", (2.83, 2.83, 20.9, 90.0, 90.0, 120.0), ("Ni", 0, 0, 0), ("O", 0, 0, 0.3800), protons=0.5),
    Addition("birnessite", BIRNESSITE),
    _of("hollandite", "I4/m", (9.777, 9.777, 2.855), ("Mn", 0.3517, 0.1674, 0), ("O", 0.1530, 0.1800, 0), ("O", 0.5420, 0.1670, 0)),
    _of("ramsdellite", "Pnma", (9.27, 2.866, 4.533), ("Mn", 0.136, 0.25, 0.978), ("O", 0.770, 0.25, 0.830), ("O", 0.967, 0.25, 0.210)),
    _of(
        "beta_gallia",
        "C2/m",
        (12.214, 3.0371, 5.7981, 90.0, 103.83, 90.0),
        ("Ga", 0.0904, 0, 0.7948),
        ("Ga", 0.3414, 0, 0.6857),
        ("O", 0.1674, 0, 0.1011),
        ("O", 0.4957, 0, 0.2553),
        ("O", 0.8279, 0, 0.4365),
    ),
    _of(
        "monoclinic_tungsten_trioxide",
        "P12_1/n1",
        (7.306, 7.540, 7.692, 90.0, 90.88, 90.0),
        ("W", 0.253, 0.026, 0.283),
        ("W", 0.246, 0.033, 0.781),
        ("O", 0.001, 0.030, 0.220),
        ("O", 0.999, 0.463, 0.218),
        ("O", 0.284, 0.259, 0.285),
        ("O", 0.204, 0.258, 0.732),
        ("O", 0.276, 0.028, 0.005),
        ("O", 0.280, 0.485, 0.992),
    ),
    _of(
        "vanadium_pentoxide",
        "Pmmn:2",
        (11.512, 3.564, 4.368),
        ("V", 0.10118, 0.25, 0.8917),
        ("O", 0.1043, 0.25, 0.531),
        ("O", 0.9311, 0.25, 0.003),
        ("O", 0.25, 0.25, 0.001),
    ),
    _of(
        "molybdenum_trioxide",
        "Pnma",
        (13.855, 3.696, 3.963),
        ("Mo", 0.1016, 0.25, 0.0867),
        ("O", 0.4351, 0.25, 0.4994),
        ("O", 0.0866, 0.25, 0.5212),
        ("O", 0.2214, 0.25, 0.0373),
    ),
    _of(
        "lanthanum_oxide", "P-3m1", (3.937, 3.937, 6.129, 90.0, 90.0, 120.0), ("La", 1 / 3, 2 / 3, 0.245), ("O", 1 / 3, 2 / 3, 0.646), ("O", 0, 0, 0)
    ),
    _of("alpha_lead_dioxide", "Pbcn", (4.971, 5.956, 5.438), ("Pb", 0, 0.178, 0.25), ("O", 0.276, 0.410, 0.425)),
    _of("pyrochlore", "Fd-3m:2", (10.09, 10.09, 10.09), ("Y", 0.5, 0.5, 0.5), ("Ti", 0, 0, 0), ("O", 0.33, 0.125, 0.125), ("O", 0.375, 0.375, 0.375)),
    _of("delafossite", "R-3m:H", (3.035, 3.035, 17.166, 90.0, 90.0, 120.0), ("Cu", 0, 0, 0), ("Fe", 0, 0, 0.5), ("O", 0, 0, 0.1066)),
    _of("layered_rock_salt", "R-3m:H", (2.816, 2.816, 14.054, 90.0, 90.0, 120.0), ("Li", 0, 0, 0), ("Co", 0, 0, 0.5), ("O", 0, 0, 0.2395)),
    _of(
        "ferrihydrite",
        "P6_3mc",
        (5.95, 5.95, 9.06, 90.0, 90.0, 120.0),
        ("Fe", 0.1695, 0.8305, 0.6365),
        ("Fe", 1 / 3, 2 / 3, 0.3379),
        ("Fe", 1 / 3, 2 / 3, 0.9595),
        ("O", 0, 0, 0.0446),
        ("O", 1 / 3, 2 / 3, 0.7634),
        ("O", 0.1697, 0.8303, 0.2467),
        ("O", 0.5227, 0.4773, 0.9796),
        protons=0.1,
    ),
    Addition("anatase", PROTOTYPES["TiO2 anatase"]),
    Addition("brookite", PROTOTYPES["TiO2 brookite"]),
    _of("tenorite", "C2/c", (4.6837, 3.4226, 5.1288, 90.0, 99.54, 90.0), ("Cu", 0.25, 0.25, 0), ("O", 0, 0.4184, 0.25)),
    _of("cooperite", "P4_2/mmc", (3.47, 3.47, 6.11), ("Pt", 0, 0.5, 0), ("S", 0, 0, 0.25)),
    _of("bixbyite", "Ia-3", (10.117, 10.117, 10.117), ("In", 0.25, 0.25, 0.25), ("In", 0.4662, 0, 0.25), ("O", 0.3905, 0.1529, 0.3832)),
    Addition("tetragonal_zirconia", PROTOTYPES["ZrO2 tetragonal"]),
    Addition("maghemite", PROTOTYPES["gamma-Fe2O3"]),
    Addition(
        "gamma_alumina",
        Prototype(
            "Fd-3m:2",
            (7.911, 7.911, 7.911, 90.0, 90.0, 90.0),
            (_site({"Al": 8 / 9}, 0.125, 0.125, 0.125), _site({"Al": 8 / 9}, 0.5, 0.5, 0.5), _site("O", 0.2547, 0.2547, 0.2547)),
        ),
    ),
)
ADDITIONS: tuple[Addition, ...] = (*_BY_HAND, *_listed())
"""What is tried beside the AFLOW prototypes, or in their place: pymatgen's copies of anatase, brookite, bixbyite, tenorite and cooperite have
wrong lengths."""
