"""Samples of a compound with other sites filled, as the curve asks for: candidates as all others, unless too few atoms are left to name a crystal."""

import numpy as np
import pytest

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.model.contract import Generator, Proposal
from deepstruc_hpc.solve.candidates.candidate import FEWEST_OF_CRYSTAL
from deepstruc_hpc.solve.candidates.crystals import A_PARAMETER
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.generator import GeneratorSource
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.search.occupation import refine_crystal_occupations
from deepstruc_hpc.structures.compound_types import candidate_of_type, with_elements
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.template_lattices import template_lattice

BOND = 2.05


def bonded(lattice, radius):
    mask = lattice.distance < radius
    return mask & (np.asarray(lattice.unlike_bonds @ mask.astype(int)) > 0)


class Rutile(Generator):
    """Offers one particle of SnO2; knows nothing of its sites."""

    name = "rutile"
    identity = "rutile"
    decodes_elements = True

    def __init__(self, mask):
        self.mask = mask

    def propose(self, _curve, *, elements, **_):
        lattice = with_elements(template_lattice("type rutile about cation", 5.0), ["Sn"], "O", BOND)
        symbols = [lattice.species[site] for site in np.flatnonzero(self.mask)]
        structure = lattice.cluster(self.mask, symbols, BOND, "rutile", "tin oxide")
        crystal = candidate_of_type("rutile", elements)
        return [Proposal(structure, latent=np.zeros(1), occupation=(lattice, self.mask), crystal=crystal)]


def refined(true, start):
    """What becomes of a sample under the curve of another particle, with c/a 1 % off; and that particle."""
    lattice = with_elements(template_lattice("type rutile about cation", 5.0), ["Sn"], "O", BOND)
    truth = lattice.cluster(true, [lattice.species[site] for site in np.flatnonzero(true)], BOND, "rutile", "")
    r = np.arange(0.5, 20.0, 0.02)
    settings = {"qmin": 0.8, "qmax": 22.0, "qdamp": 0.03}
    g = simulate_pdf(truth.symbols, truth.positions * [0.997, 0.997, 1.007], r, **settings, uiso=0.006, delta2=2.0)
    measurement = describe(PdfCurve(r, g, header=settings, source="rutile.gr"), SolveSettings(composition="SnO2"))
    generator = Rutile(start)
    source = GeneratorSource(generator, generator)
    candidates = fit(source.candidates(measurement, Budget(samples=1, sigma=(3.0,), most_atoms=400)), measurement)
    found = refine_crystal_occupations(generator, candidates, measurement)
    return fit(found, measurement) if len(found) else found, truth


def test_the_sites_of_a_sample_are_mended_and_its_strain_has_a_price():
    lattice = template_lattice("type rutile about cation", 5.0)
    true = bonded(lattice, 2.9)
    start = true.copy()
    start[np.flatnonzero(true)[-2:]] = False
    found, truth = refined(true, start)
    best = found.candidates[int(np.argmin(found.rw))]
    assert found.rw.min() < 2e-3
    assert sorted(best.structure.symbols) == sorted(truth.symbols)
    assert fingerprint(best.occupation.structure("")) == fingerprint(best.structure)
    assert best.type_complexity == best.complexity == pytest.approx(A_PARAMETER)  # c/a
    assert (best.crystal.formula, best.latent) == ("SnO2", ())


def test_what_is_left_of_a_sample_names_no_crystal_where_it_has_too_few_atoms():
    """Fails if a refined piece of a few polyhedra comes out as a crystal, which a sample of as few atoms must not."""
    lattice = template_lattice("type rutile about cation", 5.0)
    few, start = bonded(lattice, 1.7), bonded(lattice, 2.3)
    assert np.count_nonzero(few) < FEWEST_OF_CRYSTAL <= np.count_nonzero(start)
    found, _ = refined(few, start)
    assert all(len(one.structure) >= FEWEST_OF_CRYSTAL for one in found)
