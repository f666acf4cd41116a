"""A stand-in for diffpy.srreal: its two calculators with the curves of this program.

srfit's own generators run on it, so that recipes with engine diffpy, their constraints and their grids are checked where srreal is not installed.
What it cannot check is srreal's numbers.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np

from deepstruc_hpc.physics.bulk import simulate_bulk
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf


class Calculator:
    """The attributes that srfit and the bridge use, and every grid that was asked for."""

    made = []  # noqa: RUF012 - emptied by install

    def __init__(self, **settings):
        self.rmin, self.rmax, self.rstep = 0.0, 10.0, 0.01
        self.qmin, self.qmax, self.qdamp, self.qbroad = 0.0, 25.0, 0.0, 0.0
        self.delta1, self.delta2, self.scale = 0.0, 0.0, 1.0
        self.scatteringfactortable = "X"
        for name, value in settings.items():
            assert hasattr(self, name), name
            setattr(self, name, value)
        self.grids, self.structures = [], []
        Calculator.made.append(self)

    def setScatteringFactorTableByType(self, kind):  # noqa: N802
        self.scatteringfactortable = kind

    def getRadiationType(self):  # noqa: N802
        return self.scatteringfactortable

    def __call__(self, structure):
        self.grids.append((self.rmin, self.rmax, self.rstep))
        self.structures.append(structure)
        first, last = np.floor(self.rmin / self.rstep + 1e-9), np.ceil(self.rmax / self.rstep - 1e-9)
        r = np.arange(first, last) * self.rstep  # srreal's grid lies on multiples of the step
        return r, self.scale * self.curve(structure, r)

    def conditions(self):
        radiation = "neutron" if self.scatteringfactortable == "N" else "xray"
        return Instrument(radiation=radiation, qmin=self.qmin, qmax=self.qmax, qdamp=self.qdamp, qbroad=self.qbroad)


class DebyePDFCalculator(Calculator):
    def curve(self, structure, r):
        positions, uiso = np.array([atom.xyz_cartn for atom in structure]), np.array([atom.Uisoequiv for atom in structure])
        widths = {"uiso": np.maximum(uiso, 0.0), "delta1": self.delta1, "delta2": self.delta2}
        return simulate_pdf([atom.element for atom in structure], positions, r, **widths, **self.conditions().model_dump())


class PDFCalculator(Calculator):
    def curve(self, structure, r):
        species = [[(atom.element, atom.occupancy)] for atom in structure]
        uiso = {atom.element: atom.Uisoequiv for atom in structure}
        assert all(abs(atom.Uisoequiv - uiso[atom.element]) < 1e-12 for atom in structure)
        widths = {"uiso": uiso, "delta1": self.delta1, "delta2": self.delta2}
        return simulate_bulk(structure.lattice.base, np.array([atom.xyz for atom in structure]), species, r, self.conditions(), **widths)


def install(monkeypatch):
    """Put the stand-in where ``import diffpy.srreal`` finds it; returns the list of calculators that will be made."""
    calculators, adapter = ModuleType("diffpy.srreal.pdfcalculator"), ModuleType("diffpy.srreal.structureadapter")
    calculators.DebyePDFCalculator, calculators.PDFCalculator = DebyePDFCalculator, PDFCalculator
    adapter.nosymmetry = adapter.nometa = lambda structure: structure
    package = ModuleType("diffpy.srreal")
    package.__path__ = []
    for module in (package, calculators, adapter):
        module.__spec__ = ModuleSpec(module.__name__, None)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Calculator, "made", [])
    return Calculator.made
