"""A handful of real clusters, their PDFs, and a tiny model: what the tests of model and training share."""

from functools import lru_cache

import numpy as np
import torch

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.data.training_pdfs import MeasuredLike, MeasuredLikePdfs
from deepstruc_hpc.model.checkpoint import CheckpointInfo
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.families import FAMILIES

TYPES = ("bcc", "fcc", "icosahedral", "octahedral", "sc")
MAX_ATOMS = 60

TINY = ModelConfig.model_validate(
    {
        "latent_dim": 3,
        "max_atoms": MAX_ATOMS,
        "structure_types": TYPES,
        "grid": {"start": 0.7, "stop": 5.0, "step": 0.1},
        "encoder": {"hidden": 8, "layers": 1},
        "prior": {"hidden": 16, "layers": 1},
        "coordinates": {"hidden": 16, "layers": 1, "frequencies": 1},
    }
)


@lru_cache(maxsize=1)
def clusters():
    """Two metals of every shape up to 60 atoms of five families: (structures, NN distances, shape names)."""
    structures, units, names = [], [], []
    for family in ("icosahedral", "octahedral", "sc", "bcc", "fcc"):
        for shape in FAMILIES[family].enumerate(6, MAX_ATOMS):
            for symbol in ("Au", "Cu"):
                structures.append(FAMILIES[family].build(shape, symbol, nn_distance(symbol)))
                units.append(nn_distance(symbol))
                names.append(shape.name)
    return structures, np.array(units), names


@lru_cache(maxsize=1)
def view():
    """The training view of :func:`clusters` on the tiny model's axis."""
    structures, units, names = clusters()
    pdfs = MeasuredLikePdfs.of(structures, units, names, TINY.grid.axis(), MeasuredLike())
    return TrainingView.of(structures, units, TYPES, pdfs, max_atoms=MAX_ATOMS)


def icosahedron(symbol="Au", shells=3):
    """A Mackay icosahedron: 55 atoms for three shells."""
    shape = next(shape for shape in FAMILIES["icosahedral"].enumerate(1, 400) if shape.parameters["shells"] == shells)
    return FAMILIES["icosahedral"].build(shape, symbol, nn_distance(symbol))


def curve_of(structure, rmax=20.0, **conditions):
    """G(r) of a structure from 1.5 Å on."""
    r = np.arange(1.5, rmax, 0.02)
    return PdfCurve(r=r, g=simulate_pdf(structure.symbols, structure.positions, r, qmax=20.0, qdamp=0.03, **conditions), source="simulated")


def tiny_network(seed=0):
    """A tiny model with weights that are not trained."""
    torch.manual_seed(seed)
    return Cvae(TINY)


def tiny_info(**changes):
    """What a checkpoint of the tiny model says of itself."""
    return CheckpointInfo(model=TINY, catalog_id="a" * 32, catalog_hash="b" * 32, epoch=3, metrics={"val_loss": 1.5}).updated(**changes)
