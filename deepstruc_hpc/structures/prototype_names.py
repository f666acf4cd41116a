"""Common names of crystal types by their Strukturbericht symbol or AFLOW label."""

from __future__ import annotations

import re

BY_SYMBOL = {
    "A1": "fcc",
    "A2": "bcc",
    "A3": "hcp",
    "A3'": "dhcp",
    "A4": "diamond",
    "A5": "beta_tin",
    "A6": "indium",
    "A7": "arsenic",
    "A8": "selenium",
    "A9": "graphite",
    "A10": "mercury",
    "A12": "alpha_manganese",
    "A13": "beta_manganese",
    "A15": "a15",
    "A20": "alpha_uranium",
    "A_h": "sc",
    "C19": "samarium",
    "A_a": "protactinium",
    "A11": "gallium",
    "A14": "iodine",
    "A17": "black_phosphorus",
    "B1": "rock_salt",
    "B2": "cscl",
    "B3": "zincblende",
    "B4": "wurtzite",
    "B5": "polytype_4h",
    "B6": "polytype_6h",
    "B8_1": "nickel_arsenide",
    "B10": "litharge",
    "B13": "millerite",
    "B16": "ges",
    "B17": "cooperite",
    "B18": "covellite",
    "B20": "fesi",
    "B24": "thallium_fluoride",
    "B26": "tenorite",
    "B27": "feb",
    "B29": "sns",
    "B31": "mnp",
    "B33": "crb",
    "B35": "cosn",
    "B_h": "tungsten_carbide",
    "B_k": "boron_nitride",
    "B9": "cinnabar",
    "B32": "zintl",
    "B19": "b19",
    "B34": "pds",
    "B37": "thallium_selenide",
    "C1": "fluorite",
    "C2": "pyrite",
    "C3": "cuprite",
    "C4": "rutile",
    "C5": "anatase",
    "C6": "cadmium_iodide",
    "C7": "molybdenite",
    "C8": "beta_quartz",
    "C9": "beta_cristobalite",
    "C10": "beta_tridymite",
    "C14": "laves_c14",
    "C15": "laves_c15",
    "C36": "laves_c36",
    "C18": "marcasite",
    "C21": "brookite",
    "C23": "cotunnite",
    "C32": "aluminium_diboride",
    "C35": "calcium_chloride",
    "C43": "baddeleyite",
    "C42": "silicon_disulfide",
    "C33": "tetradymite",
    "C16": "khatyrkite",
    "D0_2": "skutterudite",
    "D0_9": "rhenium_trioxide",
    "D0_11": "cementite",
    "D0_5": "bismuth_triiodide",
    "D5_1": "corundum",
    "D5_3": "bixbyite",
    "D5_8": "stibnite",
    "D0_4": "chromium_trichloride",
    "D0_15": "aluminium_trichloride",
    "D0_14": "aluminium_trifluoride",
    "E2_1": "perovskite",
    "E1_1": "chalcopyrite",
    "G0_1": "calcite",
    "H1_1": "spinel",
    "H2_4": "sulvanite",
    "H2_6": "stannite",
    "L1_0": "l1_0",
    "L1_1": "l1_1",
    "L1_2": "l1_2",
    "L2_1": "heusler",
    "C1_b": "half_heusler",
    "F5_1": "caswellsilverite",
}
BY_LABEL = {
    "A2B_hP9_152_c_a": "alpha_quartz",
    "A2B_tP12_92_b_a": "alpha_cristobalite",
    "A2B_mC48_15_ae3f_2f": "coesite",
    "A3B4_tI28_141_ad_h": "hausmannite",
    "AB3C_oP20_62_c_cd_a": "orthorhombic_perovskite",
    "AB3C_hR10_148_c_f_c": "ilmenite",
    "ABC3_hR10_161_a_a_b": "lithium_niobate",
    "A_hP4_194_f": "lonsdaleite",
    "A2B3_tI80_141_ceh_3h": "beta_indium_sulfide",
    "A3BC_tP5_99_bc_a_b": "tetragonal_perovskite",
    "AB2C4_tI14_139_a_e_ce": "k2nif4",
    "A4BC_tI24_141_h_b_a": "zircon",
    "AB_hP4_186_b_a": "boron_nitride_b12",
    "AB_tP8_136_g_f": "beta_beryllia",
    "A3B_cI8_229_b_a": "cubic_hydrogen_sulfide",
}
OWN_GROUP = {
    "orthorhombic_perovskite": "perovskite",
    "tetragonal_perovskite": "perovskite",
    "rhombohedral_perovskite": "perovskite",
    "polar_perovskite": "perovskite",
    "pb_a3bc_mc10_8_ab_a_a": "perovskite",
    "cubic_hydrogen_sulfide": "cubic_hydrogen_sulfide",
    "cuprite": "cuprite",
    "indium": "fcc",
    "mercury": "fcc",
    "arsenic": "arsenic",
    "skutterudite": "skutterudite",
}
"""Types whose group the net of bonds does not tell: cuprite is two interwoven nets of cristobalite, arsenic is layered, the
large cation of a tilted perovskite loses neighbours."""


HEXAGONAL = {
    "zincblende": 0.0,
    "polytype_6h": 1 / 3,
    "polytype_4h": 1 / 2,
    "moissanite_9r": 2 / 3,
    "wurtzite": 1.0,
    "fcc": 0.0,
    "dhcp": 1 / 2,
    "samarium": 2 / 3,
    "hcp": 1.0,
}
"""Share of layers with hexagonal surroundings in types that differ by the stacking of the same layers; real samples mix them."""


def well_known(name: str) -> bool:
    """Whether a type has a common name, so that its group is better called by it."""
    return name in _KNOWN


_KNOWN = frozenset((*BY_SYMBOL.values(), *BY_LABEL.values()))


def common_name(label: str, symbol: str, mineral: str) -> str:
    """A name in lower case.

    Args:
        label: AFLOW's.
        symbol: Strukturbericht, may be empty.
        mineral: AFLOW's word for it, may be empty.
    """
    if symbol in BY_SYMBOL and (symbol not in {"A7", "A8", "A9"} or mineral):
        return BY_SYMBOL[symbol]
    if label in BY_LABEL:
        return BY_LABEL[label]
    symbol = re.sub(r"[^A-Za-z0-9_]", "", symbol)
    words = re.sub(r"[^a-z0-9]+", "_", re.split(r"[,;(:]", mineral.lower().replace("\\'{c}", "c"))[0]).strip("_")
    if len(words) > 5:
        return words
    return (f"{words}_" if words else "") + (symbol.lower() if symbol and re.match(r"^[A-Za-z]\d?", symbol) else label.lower())
