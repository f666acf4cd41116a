"""On a CUDA device: the same numbers as on the CPU. Skipped where there is none; ``benchmarks/gpu_check.py`` runs them and measures."""

import numpy as np
import pytest
import torch

from deepstruc_hpc import fit_candidates, load_model
from deepstruc_hpc.testing import metal_curves
from deepstruc_hpc.training.step import StepSchedule, to_tensors, train_step
from tests.model.clusters import TINY, clusters, curve_of, icosahedron, tiny_network, view

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")]


def test_the_fit_on_the_device_is_that_of_the_compiled_code():
    curve, shapes = curve_of(icosahedron()), clusters()[0][:20]
    options = {"rmin": 2.0, "rmax": 18.0, "qmin": 0.7, "qmax": 20.0, "qdamp": 0.03}
    here, there = fit_candidates(shapes, curve, **options), fit_candidates(shapes, curve, **options, device="cuda")
    assert there.rw == pytest.approx(here.rw, abs=2e-4)


def test_the_shipped_model_says_the_same_on_the_device():
    here, there = load_model("default"), load_model("default", device="cuda")
    for test in metal_curves():
        one, other = (model.prior(test.curve, symbol=test.symbol, instrument=test.instrument) for model in (here, there))
        assert np.abs(one[0] - other[0]).max() < 1e-2 * one[1].min()
        probabilities = here.type_probabilities(test.curve, symbol=test.symbol)
        assert there.type_probabilities(test.curve, symbol=test.symbol) == pytest.approx(probabilities, abs=1e-3)


def test_steps_of_training_on_the_device_are_those_on_the_cpu():
    from deepstruc_hpc.model.losses import CvaeObjective, LossConfig

    batch = to_tensors(view().batch(np.arange(16), np.random.default_rng(0)))
    found = {}
    for device in ("cpu", "cuda"):
        objective = CvaeObjective(tiny_network().to(device), LossConfig())
        optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-3)
        generator = torch.Generator().manual_seed(0)
        options = {"schedule": StepSchedule(1e-3, 1e-3), "latent_dim": TINY.latent_dim, "clip_norm": 1.0, "generator": generator}
        found[device] = [float(train_step(objective, optimizer, batch.to(device), **options)["loss"]) for _ in range(5)]
    assert found["cuda"] == pytest.approx(found["cpu"], rel=1e-3)
