"""Against numbers of diffpy.srreal; see tests/reference/README.md."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from deepstruc_hpc.physics.debye import Atoms
from deepstruc_hpc.physics.form_factors import scattering_factors
from deepstruc_hpc.physics.transform import envelope, fq_to_gr

pytestmark = [pytest.mark.reference, pytest.mark.law]
FILE = Path(__file__).parent.parent / "reference" / "debye_srreal.npz"
SETTINGS = ["rstep", "qmin", "qmax", "qdamp", "qbroad", "delta1", "delta2", "scale", "used_qstep", "extendedrmin", "extendedrmax"]


@cache
def reference() -> dict[str, np.ndarray]:
    with np.load(FILE) as stored:
        return dict(stored)


def cases() -> list[str]:
    with np.load(FILE) as stored:
        return sorted({key.split("/")[0] for key in stored.files} - {"lengths"})


class Case:
    def __init__(self, name: str) -> None:
        data = {key.split("/")[1]: value for key, value in reference().items() if key.startswith(name + "/")}
        self.q, self.f, self.r, self.g = data["q"], data["f"], data["r"], data["g"]
        self.settings = dict(zip(SETTINGS, data["settings"].tolist(), strict=True))
        self.atoms = Atoms.of([str(s) for s in data["symbols"]], data["positions"], data["uiso"], data["occupancy"])
        if data["neutron"]:
            lengths = dict(zip(reference()["lengths/elements"].tolist(), reference()["lengths/b"].tolist(), strict=True))
            self.factors = np.stack([np.full(len(self.q), lengths[symbol]) for symbol in self.atoms.elements])
        else:
            self.factors = scattering_factors(self.atoms.elements, self.q, "xray")
        self.widths = {name: self.settings[name] for name in ("qbroad", "delta1", "delta2")}


@pytest.mark.parametrize("name", cases())
def test_structure_function_agrees_with_srreal(name):
    """Fails for any wrong weight, width, form factor or normalisation. 2e-6 of max|F| is asked; 1e-10 is held."""
    case = Case(name)
    found = case.atoms.fq_exact(case.q, case.factors, between=(case.settings["extendedrmin"], case.settings["extendedrmax"]), **case.widths)
    assert np.abs(found - case.f).max() < 1e-10 * np.abs(case.f).max()


@pytest.mark.parametrize("name", cases())
def test_histogram_path_agrees_with_the_plain_double_sum(name):
    """The path behind simulate_fq and simulate_pdf; fails if its interpolation, U nodes or width nodes are too coarse."""
    case = Case(name)
    exact = case.atoms.fq_exact(case.q, case.factors, **case.widths)
    assert np.abs(case.atoms.fq(case.q, case.factors, **case.widths) - exact).max() < 1e-9 * np.abs(exact).max()


@pytest.mark.parametrize("name", cases())
def test_distribution_function_agrees_with_srreal_on_its_own_grid(name):
    """Its pair range, rectangle rule and linear interpolation applied here, our sums and transform: fails for a wrong 2/π, window or envelope."""
    case = Case(name)
    s = case.settings
    fq = case.atoms.fq_exact(case.q, case.factors, between=(s["extendedrmin"], s["extendedrmax"]), **case.widths)
    step = s["used_qstep"]
    fq[: int(np.ceil(s["qmin"] / step - 1e-8))] = 0.0
    count = 2 ** int(np.ceil(np.log2(max(len(fq), np.ceil(np.pi / (s["rstep"] * step))))))
    grid = np.arange(count) * np.pi / (count * step)
    g = np.interp(case.r, grid, fq_to_gr(fq, case.q, np.full(len(fq), step), grid)) * s["scale"] * envelope(case.r, s["qdamp"])
    assert np.abs(g - case.g).max() < 1e-9 * np.abs(case.g).max()
