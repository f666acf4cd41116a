"""Candidates from a model: sampled by levels, cleaned, fitted, shown on the latent map."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.checkpoint import CheckpointInfo, save_checkpoint
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.contract import Generator, Proposal
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.physics.bulk import simulate_bulk
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.generator import GeneratorSource
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.config import RefusalSettings, SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.compound_types import candidate_of_type, with_elements
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.template_lattices import template_lattice


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network that has learnt nothing: what it decodes is noise, which solve must survive."""
    import torch

    torch.manual_seed(0)
    config = ModelConfig(latent_dim=2, max_atoms=60, structure_types=("decahedral", "fcc", "icosahedral"))
    directory = tmp_path_factory.mktemp("model") / "checkpoint"
    save_checkpoint(directory, Cvae(config), CheckpointInfo(model=config))
    return directory


def test_samples_of_an_untrained_model_never_beat_the_catalog(measured, shapes_store, checkpoint, tmp_path):
    frame = solve(
        measured / "fcc.gr", tmp_path, catalog=shapes_store, model=checkpoint, sources="cvae,catalog", samples=40, local_shapes=60, workers=0
    )
    assert (frame["status"].iloc[0], frame["structure_type"].iloc[0]) == ("ok", "fcc")
    counts = json.loads((tmp_path / "fcc" / "result.json").read_text())["details"]["counts"]
    assert counts["samples"] == 40
    assert counts["cvae"] == 40 - counts["clashing"]
    assert counts["distinct"] <= counts["cvae"] + counts["catalog"]
    latent = pd.read_csv(tmp_path / "fcc" / "latent.csv")
    assert list(latent.columns[:5]) == ["kind", "z1", "z2", "structure_type", "rw"]
    kinds = latent["kind"].value_counts()
    assert kinds["mean"] == 1
    assert kinds["catalog"] == counts["catalog"]
    drawn = 40 - counts["clashing"]
    assert drawn - 2 <= kinds.get("sample", 0) <= drawn  # the mean is proposed at each of the three levels, and kept once


def test_the_same_seed_gives_the_same_samples_and_another_one_others(measured, shapes_store, checkpoint, tmp_path):
    def points(name, seed):
        options = {"catalog": shapes_store, "model": checkpoint, "sources": "cvae,catalog"}
        solve(measured / "fcc.gr", tmp_path / name, **options, samples=36, seed=seed, local_shapes=0, workers=0)
        latent = pd.read_csv(tmp_path / name / "fcc" / "latent.csv")
        return latent.loc[latent["kind"] != "catalog", ["z1", "z2"]].to_numpy()

    first, again, other = points("a", 0), points("b", 0), points("c", 1)
    assert np.array_equal(first, again)
    assert not (first.shape == other.shape and np.array_equal(first, other))


def test_samples_of_an_untrained_model_alone_are_refused_with_their_rw(measured, checkpoint, tmp_path):
    row = solve(measured / "fcc.gr", tmp_path, model=checkpoint, sources="cvae", samples=10, local_shapes=60, workers=0).iloc[0]
    assert row["status"] == "refused"
    assert row["rw"] > RefusalSettings().rw_refuse
    assert "no candidate comes near the curve" in row["message"]
    assert row["structure_type"] == ""


class _Given(Generator):
    """A generator that proposes what it is told."""

    def __init__(self, *structures):
        self.structures = structures

    def prior(self, *_, **__):
        return np.zeros(1), np.ones(1)

    def propose(self, _curve, *, n_samples, **_):
        return [Proposal(structure, np.zeros(1), 0.0, 1.0) for structure in self.structures[:n_samples]]

    def type_probabilities(self, *_, **__):
        kinds = Counter(proposal.structure.structure_type for proposal in self.propose(None, n_samples=99))
        return {kind: count / kinds.total() for kind, count in kinds.items()}


def _grid(scale):
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3)
    return Structure.of_element("Au", grid[:13] * scale + 0.01 * np.random.default_rng(0).normal(size=(13, 3)), "sc", "a cluster")


def _measurement(composition="Au"):
    r = np.arange(0.0, 20.0, 0.01)
    g = np.exp(-0.5 * ((r - 2.9) / 0.1) ** 2)
    return describe(PdfCurve(r, g, source="x.gr"), SolveSettings(composition=composition))


def _offered(*structures, composition="Au"):
    return GeneratorSource(_Given(*structures)).candidates(_measurement(composition), Budget(samples=10, sigma=(3.0,), most_atoms=100))


def test_samples_start_at_the_metals_distance_and_clashing_ones_are_dropped_and_counted():
    clashing = _grid(2.8).positions.copy()
    clashing[1] = clashing[0] + 0.3
    offered = _offered(_grid(2.0), Structure.of_element("Au", clashing, "sc"))
    (rescaled,) = offered.candidates
    nearest = np.sort(np.linalg.norm(rescaled.structure.positions[1:] - rescaled.structure.positions[0], axis=1))[0]
    assert nearest == pytest.approx(2.88, abs=0.05)
    assert rescaled.length == pytest.approx(2.88, abs=0.01)
    assert rescaled.zoom[0] < 2.9 / 2.88 < rescaled.zoom[1]
    assert (offered.counts["samples"], offered.counts["clashing"]) == (2, 1)
    assert offered.belief.types == {"sc": 1.0}


def test_a_generator_that_breaks_is_named_in_the_error():
    class Broken(_Given):
        name = "my diffusion"

        def propose(self, curve, **_):
            raise KeyError("weights")

    with pytest.raises(EngineError, match=r"the generator my diffusion failed: KeyError: 'weights'\. .*check_generator"):
        GeneratorSource(Broken()).candidates(_measurement(), Budget(samples=10, sigma=(3.0,), most_atoms=100))


@pytest.mark.parametrize("composition", ["CeO2", "SF6"])
def test_a_generator_of_metals_offers_nothing_for_a_compound_or_a_molecule(composition):
    assert len(_offered(_grid(2.0), composition=composition)) == 0


class _Ceria(Generator):
    """Proposes one particle of ceria on the lattice of its type."""

    decodes_elements = True

    def __init__(self, radius=2.0):
        self.radius = radius

    def propose(self, _curve, *, elements, **_):
        assert list(elements) == ["Ce", "O"]
        lattice = with_elements(template_lattice("type fluorite about cation", 4.0), ["Ce"], "O", 2.34)
        mask = lattice.distance < self.radius
        structure = lattice.cluster(mask, [lattice.species[site] for site in np.flatnonzero(mask)], 2.34, "fluorite", "ceria")
        return [Proposal(structure, occupation=(lattice, mask), crystal=candidate_of_type("fluorite", elements))]


def test_of_a_compound_the_model_of_compounds_is_asked_in_place_of_the_other():
    source = GeneratorSource(_Given(_grid(2.0)), _Ceria())
    budget = Budget(samples=10, sigma=(3.0,), most_atoms=100)
    offered = source.candidates(_measurement("CeO2"), budget)
    (ceria,) = offered.candidates
    assert offered.belief is None
    assert (ceria.crystal.formula, ceria.structure.structure_type, ceria.source) == ("CeO2", "fluorite", source.name)
    assert ceria.occupation.structure("").symbols == ceria.structure.symbols
    assert ceria.atomic_volume == pytest.approx(5.411**3 / 12, rel=0.05)
    (gold,) = source.candidates(_measurement("Au"), budget).candidates
    assert gold.structure.elements == ("Au",)


def test_a_few_polyhedra_are_no_crystal():
    """A cation with its eight anions is ceria, a pyrochlore, a garnet: the model of compounds was trained on 20 atoms and more."""
    budget = Budget(samples=10, sigma=(3.0,), most_atoms=100)
    offered = [GeneratorSource(_Given(_grid(2.0)), _Ceria(radius)).candidates(_measurement("CeO2"), budget) for radius in (1.2, 2.0)]
    assert len(offered[0]) == 0
    (found,) = offered[1].candidates
    assert found.shows_its_crystal
    few = replace(found, structure=Structure(found.structure.symbols[:19], found.structure.positions[:19], "fluorite", ""))
    assert not few.shows_its_crystal
    assert replace(few, crystal=None).shows_its_crystal  # a metal, or a cluster that somebody gave


def test_of_a_large_particle_the_model_of_compounds_is_not_asked():
    r = np.arange(0.5, 60.0, 0.02)
    crystal = prototype_crystal("CeO2")
    species = [[(symbol, 1.0)] for symbol in crystal.main_element]
    g = simulate_bulk(crystal.lattice, crystal.fractions, species, r, Instrument(qmax=22.0, qdamp=0.01), uiso=0.006)
    curve = PdfCurve(r, g, header={"qmax": 22.0, "qdamp": 0.01}, source="bulk.gr")
    measurement = describe(curve, SolveSettings(composition="CeO2"))
    budget = Budget(samples=10, sigma=(3.0,), most_atoms=100)
    assert len(GeneratorSource(_Given(_grid(2.0)), _Ceria()).candidates(measurement, budget)) == 0


def test_the_shipped_model_of_compounds_knows_a_small_particle_of_rutile(tmp_path):
    """Its c/a is 1 % off that of the model's lattice: the refinement of sites and strains finds the very particle."""
    lattice = with_elements(template_lattice("type rutile about cation", 5.0), ["Sn"], "O", 2.06)
    mask = lattice.distance < 2.9
    mask &= np.asarray(lattice.unlike_bonds @ mask.astype(int)) > 0
    truth = lattice.cluster(mask, [lattice.species[site] for site in np.flatnonzero(mask)], 2.06, "rutile", "")
    r = np.arange(0.0, 20.0, 0.02)
    g = simulate_pdf(truth.symbols, truth.positions * [0.997, 0.997, 1.007], r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.006, delta2=2.0)
    head = "composition = SnO2\nqmin = 0.8\nqmax = 22.0\nqdamp = 0.03\n#### start data\n#L r G\n"
    (tmp_path / "rutile.gr").write_text(head + "\n".join(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True)) + "\n")
    row = solve(tmp_path / "rutile.gr", tmp_path / "out", sources="cvae", workers=0).iloc[0]
    assert (row["status"], row["structure_type"], row["phase"]) == ("ok", "rutile", "SnO2 rutile")
    assert row["n_atoms"] == len(truth)
    assert row["rw"] < 0.01


def test_of_neutrons_the_model_of_compounds_is_not_asked():
    r = np.arange(0.5, 20.0, 0.02)
    curve = PdfCurve(r, np.exp(-0.5 * ((r - 2.34) / 0.1) ** 2), header={"mode": "neutron"}, source="neutron.gr")
    measurement = describe(curve, SolveSettings(composition="CeO2", radiation="neutron"))
    budget = Budget(samples=10, sigma=(3.0,), most_atoms=100)
    assert measurement.instrument.radiation == "neutron"
    assert len(GeneratorSource(_Given(_grid(2.0)), _Ceria()).candidates(measurement, budget)) == 0


def test_of_a_particle_whose_end_shows_beyond_the_models_sizes_its_samples_are_left_out():
    """A sphere of 26 Å holds 800 atoms of ceria; the model knows 400, and would agree with itself on them."""
    ceria = prototype_crystal("CeO2")
    r = np.arange(0.5, 38.0, 0.02)

    def offered(radius):
        made = cut_crystal(ceria, radius=radius)
        g = simulate_pdf(made.symbols, made.positions, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.006)
        curve = PdfCurve(r, g, header={"qmin": 0.8, "qmax": 22.0, "qdamp": 0.03}, source="ceria.gr")
        measurement = describe(curve, SolveSettings(composition="CeO2"))
        return len(GeneratorSource(_Given(_grid(2.0)), _Ceria()).candidates(measurement, Budget(samples=10, sigma=(3.0,), most_atoms=100)))

    assert (offered(7.0), offered(13.0)) == (1, 0)
