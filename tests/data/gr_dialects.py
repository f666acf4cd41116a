"""G(r) of a gold cluster written as each program writes it; synthetic, after the formats' descriptions."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from deepstruc_hpc.physics.simulate import simulate_pdf

QMIN, QMAX = 0.8, 24.0


@lru_cache(maxsize=4)
def gold(step: float = 0.05, start: float = 0.0, stop: float = 20.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """r (Å), G(r) (Å⁻²) and an uncertainty of a spherical cut of fcc gold, 4-digit numbers."""
    grid = np.array([(i, j, k) for i in range(-4, 5) for j in range(-4, 5) for k in range(-4, 5) if (i + j + k) % 2 == 0]) * 2.04
    positions = grid[(grid**2).sum(axis=1) < 6.5**2]
    r = np.round(start + step * np.arange(round((stop - start) / step) + 1), 6)
    g = simulate_pdf(["Au"] * len(positions), positions, r, qmin=QMIN, qmax=QMAX, qdamp=0.03, uiso=0.007)
    return r, np.round(g, 4), np.full(len(r), 0.0125)


def rows(*columns: np.ndarray, fmt: str = "{:.8g}", separator: str = " ", newline: str = "\n") -> str:
    return "".join(separator.join(fmt.format(value) for value in row) + newline for row in zip(*columns, strict=True))


def pdfgetx3(r, g, dg):
    head = (
        "[DEFAULT]\n\nversion = pdfgetx3-2.1.2\n\n# input and output specifications\ndataformat = Qnm\ninputfile = a.chi\nbackgroundfile = \n"
        "outputtype = gr\n\n"
        "mode = xray\ncomposition = Au\nbgscale = 1\nrpoly = 0.9\nqmaxinst = 29\nqmin = 0.8\nqmax = 24.0\nrmin = 0\nrmax = 20\nrstep = 0.05\n\n"
        "# End of config ----\n\n#### start data\n#S 1\n#L r($\\AA$)  G($\\AA^{-2}$)\n"
    )
    return head + rows(r, g)


def xpdfsuite(r, g, dg):
    head = (
        "# xPDFsuite Configuration #\n[PDF]\nwavelength = 0.1\ndataformat = QA\ninputfile = b.chi\nmode = xray\nbgscale = 0.8\ncomposition = Au\n"
        "outputtype = gr\n"
        "qmaxinst = 26.0\nqmin = 0.8\nqmax = 24.0\nrmax = 20.0\nrmin = 0.0\nrstep = 0.05\nrpoly = 0.9\n\n[Misc]\ninputdir = /data/1 2 3\n\n"
        "#### start data\n#S 1\n#L r($\\AA$)  G($\\AA^{-2}$)\n"
    )
    return head + rows(r, g)


def pdfgetxgui(r, g, dg):
    return xpdfsuite(r, g, dg).replace("xPDFsuite", "PDFgetXgui")


def pdfgetx2(r, g, dg):
    head = (
        "History written: Mon Apr 21 20:48:28 2008\nProduced by me\n####### Get_XPDF #######\n\n##### DataFileFormat\ndatatype=1    (0:SPEC, 1:CHI)\n"
        "det#  used  xcol detcol deterrcol xmin  xmax  add_det  mul_det\n  0    1    0    1    3    0.600000    35.0000    0.000000    1.00000\n\n"
        "##### Sample_Setup information    num_atoms=1\n#L symbol valence fractions z user_f1 user_f2 user_macoef\n"
        "  Au    0.00   1.000000    79   0.0   0.0   0.0\n\n"
        "interpolateqmin_isa=0    qmininterpolationtype=0\nsmoothfunctype=0    smoothqmin=12.0000\n##### SqGr_Optimization Setup\n"
        "## S(q)  qmin=0.800000    qmax=24.000000    qgrid=0.000000\n## G(r)  rmin=0.0    rmax=20.0    rgrid=0.05\n"
        "optqmin=20.0000    optqmax=40.0000\n"
        "##### start data\n#F a.gr\n#D Mon Apr 21 21:05:49 2008\n#C\n#S 1    G(r)\n#D\n#L r(A)    G(r)    d_r    d_Gr\n"
    )
    body = rows(r, g, -0.01 * r, dg, fmt="{:.6e}", separator="    ").replace("e+0", "e+00").replace("e-0", "e-00")
    return head + body


def pdfgetn(r, g, dg):
    head = (
        "# History written: Tue May  6 11:04:33 2008\n# produced by someone\n# ##### Sample Material     numElements=1     NormLaue=0.00000\n"
        "# Element relAtomNum atomMass atomCoherCS atomIncoherCS atomAbsorpCS\n#   Au        1.0000   196.97     7.3000        0.4000      98.0\n"
        "# bank   angle   blendQmin   blendQmax       (0.0 means no info)\n#   1     46.6        0.87    21.63\n#   2     90.0        1.51    37.66\n"
        "# ## Damp     Qmin=0.80     Qmax=24.0     startDampQ=27.0    QAveMin=0.6\n# ##### prepgsas     prepOutput=1\n"
        "##### start data\n#O0 rg_int sig_rg_int low_int sig_low_int rmax rhofit\n#S 1 - PDF from PDFgetN\n"
        "#P0  -68.04163   47.30471    0.14884    0.13136    1.50  0.1091\n"
        "#L r G(r) dr dG(r)\n"
    )
    return head + rows(r, g, 0 * r, dg, fmt="{:9.4f}")


def gsas2(r, g, dg):
    return "#T G(R) for PDF gold.fxye Bank 1\n#L r(Ang) G(r)\n" + rows(r, g, fmt="{:15.6g}")


def gsas2_pdfgui(r, g, dg):
    return pdfgetx3(r, g, dg).replace("version = pdfgetx3-2.1.2", "version = GSAS-II-v5700")


def mantid(r, g, dg):
    head = "#Comment: neutron, Qmin=0.8, Qmax=24.0, Qdamp=0.0177, Qbroad=0.0192\n##### start data\n#S 1 - PDF from Mantid 6.8.0\n#L r G(r) dr dG(r)\n"
    return head + rows(r, g, 0 * r, dg, separator="  ")


def mantid_ascii(r, g, dg):
    return "# X , Y , E\n1\n" + rows(r, g, dg, separator=",")


def pdfgui(r, g, dg):
    head = (
        "History written: Tue Oct  8 18:51:36 2019\nproduced by me\n##### PDFgui\nstype=X  x-ray scattering\nqmax=24.00\nqdamp=0.03\nqbroad=0.01\n"
        "dscale=1\n"
        "fitrmin=1\nfitrmax=20\n##### start data\n#L r(A) G(r) d_r d_Gr\n"
    )
    return head + rows(r, g, 0 * r, dg)


def pdffit2_fgr(r, g, dg):
    return "##### start data\n#L r(A) G(r) d_r d_Gr Gdiff\n" + rows(r, np.round(0.99 * g, 6), 0 * r, dg, np.round(0.01 * g, 6))


def headerless(r, g, dg):
    return rows(r, g)


def three_columns(r, g, dg):
    return rows(r, g, dg, fmt="{:.6e}", separator="    ").replace("e+0", "e+00").replace("e-0", "e-00")


def four_columns(r, g, dg):
    return rows(r, g, 0 * r, dg)


def commas(r, g, dg):
    return "r,G,dG\n" + rows(r, g, dg, separator=",")


def tabs(r, g, dg):
    return '"r (Angstrom)"\t"G(r)"\n' + rows(r, g, separator="\t")


def semicolons_decimal_commas(r, g, dg):
    return "r;G\n" + rows(r, g, separator=";").replace(".", ",")


def decimal_commas(r, g, dg):
    return rows(r, g, fmt="{:.4f}").replace(".", ",")


def windows_lines(r, g, dg):
    return pdfgetx3(r, g, dg).replace("\n", "\r\n")


def old_mac_lines(r, g, dg):
    return headerless(r, g, dg).replace("\n", "\r")


def blank_comments(r, g, dg):
    return "#\n" * 6 + rows(r, g)


def fortran_d(r, g, dg):
    return rows(r, g, fmt="{:.6E}").replace("E", "D")


def count_first(r, g, dg):
    return f"{len(r)}\nfrom some program\n" + rows(r, g)


def nanometres(r, g, dg):
    return "# r (nm)  G (nm^-2)\n" + rows(r / 10, g * 100)


def nanometres_one_unit(r, g, dg):
    return "#L r_nm Gr\n" + rows(r / 10, g * 100)


def nanometres_unsaid(r, g, dg):
    return rows(r / 10, g * 100)


def picometres(r, g, dg):
    return "r[pm],G\n" + rows(r * 100, g * 1e-4, separator=",")


def picometres_unsaid(r, g, dg):
    return rows(r * 100, g * 1e-4)


PLAIN: dict[str, Callable[..., str]] = {
    f.__name__: f
    for f in (
        pdfgetx3, xpdfsuite, pdfgetxgui, pdfgetx2, pdfgetn, gsas2, gsas2_pdfgui, mantid, mantid_ascii, pdfgui, pdffit2_fgr, headerless, three_columns,
        four_columns, commas, tabs, semicolons_decimal_commas, decimal_commas, windows_lines, old_mac_lines, blank_comments, fortran_d, count_first,
    )
}  # fmt: skip
OTHER_UNITS: dict[str, Callable[..., str]] = {
    f.__name__: f for f in (nanometres, nanometres_one_unit, nanometres_unsaid, picometres, picometres_unsaid)
}
HEADERS = {
    "pdfgetx3": {"program": "PDFgetX3", "qmin": 0.8, "qmax": 24.0, "rpoly": 0.9, "composition": "Au", "radiation": "xray"},
    "xpdfsuite": {"program": "xPDFsuite", "qmin": 0.8, "qmax": 24.0, "rpoly": 0.9, "composition": "Au", "radiation": "xray", "wavelength": 0.1},
    "pdfgetxgui": {"program": "PDFgetXgui", "qmin": 0.8, "qmax": 24.0, "rpoly": 0.9, "composition": "Au", "radiation": "xray", "wavelength": 0.1},
    "pdfgetx2": {"program": "PDFgetX2", "qmin": 0.8, "qmax": 24.0, "composition": "Au", "radiation": "xray"},
    "pdfgetn": {"program": "PDFgetN", "qmin": 0.8, "qmax": 24.0, "composition": "Au", "radiation": "neutron"},
    "gsas2": {"program": "GSAS-II"},
    "gsas2_pdfgui": {"program": "GSAS-II", "qmin": 0.8, "qmax": 24.0, "rpoly": 0.9, "composition": "Au", "radiation": "xray"},
    "mantid": {"program": "Mantid", "qmin": 0.8, "qmax": 24.0, "qdamp": 0.0177, "qbroad": 0.0192, "radiation": "neutron"},
    "pdfgui": {"program": "PDFgui", "qmax": 24.0, "qdamp": 0.03, "qbroad": 0.01, "radiation": "xray"},
    "headerless": {},
}
WITH_UNCERTAINTY = ("pdfgetx2", "pdfgetn", "mantid", "mantid_ascii", "pdfgui", "pdffit2_fgr", "three_columns", "four_columns", "commas")
