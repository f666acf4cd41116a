"""Candidates from a model: sampled by levels, cleaned, fitted, shown on the latent map."""

import json

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.checkpoint import CheckpointInfo, save_checkpoint
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.solve.candidates.candidate import Candidate, without_duplicates
from deepstruc_hpc.solve.candidates.generator import at_bulk_distance


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network that has learnt nothing: what it decodes is noise, which solve must survive."""
    import torch

    torch.manual_seed(0)
    config = ModelConfig(latent_dim=2, max_atoms=60, structure_types=("decahedral", "fcc", "icosahedral"))
    directory = tmp_path_factory.mktemp("model") / "checkpoint"
    save_checkpoint(directory, Cvae(config), CheckpointInfo(model=config))
    return directory


def _cluster(n=13, scale=2.8, seed=0):
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3)
    return Structure.of_element("Au", grid[:n] * scale + 0.01 * np.random.default_rng(seed).normal(size=(n, 3)), "sc", "a cluster")


def test_samples_of_an_untrained_model_never_beat_the_catalog(measured, shapes_store, checkpoint, tmp_path):
    frame = solve(measured / "fcc.gr", tmp_path, catalog=shapes_store, model=checkpoint, samples=40, neighbours=60, workers=0)
    assert (frame["status"].iloc[0], frame["structure_type"].iloc[0]) == ("ok", "fcc")
    counts = json.loads((tmp_path / "fcc" / "result.json").read_text())["details"]["counts"]
    assert counts["samples"] == 40
    assert counts["distinct"] <= 40 - counts["clashing"] + counts["catalog"]
    latent = pd.read_csv(tmp_path / "fcc" / "latent.csv")
    assert list(latent.columns[:5]) == ["kind", "z1", "z2", "structure_type", "rw"]
    kinds = latent["kind"].value_counts()
    assert kinds["mean"] == 1
    assert kinds["catalog"] == counts["catalog"]
    drawn = 40 - counts["clashing"]
    assert drawn - 2 <= kinds.get("sample", 0) <= drawn  # the mean is proposed at each of the three levels, and kept once


def test_the_same_seed_gives_the_same_samples_and_another_one_others(measured, shapes_store, checkpoint, tmp_path):
    def points(name, seed):
        solve(measured / "fcc.gr", tmp_path / name, catalog=shapes_store, model=checkpoint, samples=36, seed=seed, neighbours=0, workers=0)
        latent = pd.read_csv(tmp_path / name / "fcc" / "latent.csv")
        return latent.loc[latent["kind"] != "catalog", ["z1", "z2"]].to_numpy()

    first, again, other = points("a", 0), points("b", 0), points("c", 1)
    assert np.array_equal(first, again)
    assert not (first.shape == other.shape and np.array_equal(first, other))


def test_samples_alone_are_refused_or_failed_but_never_a_traceback(measured, checkpoint, tmp_path):
    frame = solve(measured / "fcc.gr", tmp_path, model=checkpoint, sources="cvae", samples=10, neighbours=60, workers=0)
    assert frame["status"].iloc[0] in {"failed", "refused", "ok"}
    assert "defect of the program" not in frame["message"].iloc[0]


def test_equal_structures_in_another_pose_or_order_are_one_candidate():
    first = _cluster()
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    second = Structure.of_element("Au", (first.positions @ rotation)[::-1] * 1.01 + 5.0, "sc")
    third = _cluster(seed=2)
    found = without_duplicates([Candidate(structure, "cvae") for structure in (first, second, third)])
    assert len(found) == 2  # fails if size or orientation tells candidates apart, or if all are merged


def test_a_sample_that_is_a_listed_shape_keeps_both_names():
    listed = Candidate(_cluster(), "catalog", catalog_id="x7")
    sample = Candidate(_cluster().scaled(1.02), "cvae", latent=(0.5, 1.0), complexity=1)
    for order in ([sample, listed], [listed, sample]):
        (merged,) = without_duplicates(order)
        assert (merged.source, merged.catalog_id, merged.latent, merged.complexity) == ("cvae", "x7", (0.5, 1.0), 0)


def test_samples_start_at_the_metals_distance_and_clashing_ones_are_dropped():
    placed = at_bulk_distance(Candidate(_cluster(scale=2.0), "cvae"), "Au")
    nearest = np.sort(np.linalg.norm(placed.structure.positions[1:] - placed.structure.positions[0], axis=1))[0]
    assert nearest == pytest.approx(2.88, abs=0.05)
    clashing = _cluster().positions.copy()
    clashing[1] = clashing[0] + 0.3
    assert at_bulk_distance(Candidate(Structure.of_element("Au", clashing), "cvae"), "Au") is None
