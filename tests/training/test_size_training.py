"""Training of a size head: it learns, goes on where it stopped, and weighs two readings by how sure they are."""

import json
from itertools import islice

import numpy as np
import pytest
import torch

from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.model import size_references
from deepstruc_hpc.model.checkpoint import load_network, save_checkpoint
from deepstruc_hpc.model.size_checkpoint import SizeInfo, load_size_head, prior_hash, save_size_head
from deepstruc_hpc.model.size_head import FieldReading, LibraryReading, SizeBlend, SizeHeadConfig, SizeMixture
from deepstruc_hpc.training import size_training
from deepstruc_hpc.training.size_blend import Readings, fit_blend
from deepstruc_hpc.training.size_shapes import shape_key, shapes_between
from deepstruc_hpc.training.size_training import SizeTraining, train_size_head
from tests.model.clusters import tiny_info, tiny_network


def test_shapes_are_of_the_sizes_asked_for_the_same_every_time_and_without_those_kept():
    first = list(islice(shapes_between(401, 700, 3), 12))
    assert all(401 <= len(one) <= 700 for one in first)
    again = list(islice(shapes_between(401, 700, 3), 12))
    assert [one.positions.tobytes() for one in first] == [one.positions.tobytes() for one in again]
    kept = {shape_key(first[4].positions, 2.77)}
    others = [one.label for one in islice(shapes_between(401, 700, 3, kept), 11)]
    assert others == [one.label for number, one in enumerate(first) if number != 4]


def test_a_key_does_not_see_orientation_order_or_scale():
    structure = next(shapes_between(401, 500, 1))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    moved = (structure.positions @ turn)[::-1] * 1.3 + [4.0, -2.0, 1.0]
    assert shape_key(moved, 2.77 * 1.3) == shape_key(structure.positions, 2.77)


def test_a_head_learns_by_heart():
    """Twelve curves whose strength tells their size: after 80 steps the loss is that of a few per cent."""
    rng = np.random.default_rng(0)
    network = tiny_network()
    training = SizeTraining.fresh(network, 0, SizeHeadConfig(stop=8.0, hidden=32, layers=1))
    n_atoms = np.round(np.exp(np.linspace(3, 7, 12))).astype(np.int64)
    points = training.head.points
    g = rng.normal(size=(12, points)) * np.exp(-np.arange(points) / (5.0 * np.log(n_atoms)[:, None]))
    pdf = np.stack([g, np.ones_like(g)], axis=1).astype(np.float32)
    losses = [training.step(pdf, n_atoms, 0.2) for _ in range(80)]
    assert losses[-1] < -1.0 < losses[0]


def test_a_training_goes_on_where_it_stopped(tmp_path, monkeypatch):
    """The states of steps and weights come back; the head's files are those of the model that it lies beside."""
    monkeypatch.setattr(size_training, "CHECKED", 4)
    monkeypatch.setattr(size_training, "BATCH", (4, 4))
    monkeypatch.setattr(size_training, "SIZES", ((13, 60), (61, 120)))
    monkeypatch.setattr(size_references, "reference_curves", lambda _, axis: np.zeros((len(size_references.ZOOMS), len(axis)), dtype=np.float32))
    checkpoint = save_checkpoint(tmp_path / "model", tiny_network(), tiny_info())
    first = train_size_head(str(checkpoint), tmp_path / "run", minutes=1e-6, pools=(4, 4))
    second = train_size_head(str(checkpoint), tmp_path / "run", minutes=1e-6, pools=(4, 4), resume=True)
    assert second.log["steps"] > first.log["steps"] > 0
    assert second.log["minutes"] >= first.log["minutes"]
    network, _ = load_network(checkpoint)
    assert load_size_head(tmp_path / "run", network) is not None
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 2
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])["steps"] == second.log["steps"]


def test_a_training_begins_with_the_head_beside_the_model(tmp_path):
    network = tiny_network()
    config = SizeHeadConfig(stop=8.0, hidden=16, layers=1)
    directory = save_checkpoint(tmp_path / "model", network, tiny_info())
    training = SizeTraining.fresh(network, 3, config)
    with pytest.raises(CheckpointError, match="no size head"):
        training.begin_with(directory)
    head = SizeTraining.fresh(network, 4, config).head
    log = {"steps": 700.0, "minutes": 3.0, "cpu_minutes": 2.0}
    save_size_head(directory, head, SizeInfo(head=config, prior_hash=prior_hash(network), fewest_atoms=13, most_atoms=60, log=log))
    training.begin_with(directory)
    assert (training.steps, training.seconds, training.cpu_seconds) == (700, 180.0, 120.0)
    for name, tensor in head.answer.state_dict().items():
        assert torch.allclose(training.head.answer.state_dict()[name], tensor, atol=2e-3), name


def test_readings_are_weighed_by_how_sure_they_are():
    """Head and decoder err in turn, and say so in their widths: the blend is better than either alone."""
    rng = np.random.default_rng(0)
    count = 800
    truth = rng.uniform(3.0, 7.0, count)
    widths = np.where(rng.random((2, count)) < 0.5, 0.02, 0.2)
    head, field = truth + widths * rng.normal(size=(2, count))
    columns = [torch.from_numpy(part).float() for part in (truth, head, np.log(widths[0]), field - head, np.log(widths[1]))]
    mixture = SizeMixture(torch.zeros(count, 1), columns[1][:, None], columns[2][:, None])
    reading = FieldReading(columns[3], columns[3], columns[4], torch.zeros(count))
    readings = Readings(columns[0], torch.arange(count), mixture, reading)
    torch.manual_seed(0)
    blend = SizeBlend()
    fit_blend(blend, readings, 0)
    with torch.no_grad():
        mean, log_std = blend(mixture, reading)
    error = (mean - columns[0]).abs().numpy()
    assert np.mean(error) < 0.8 * min(np.mean(np.abs(head - truth)), np.mean(np.abs(field - truth)))
    sure = log_std.numpy() < np.median(log_std.numpy())
    assert error[sure].mean() < 0.5 * error[~sure].mean()


def test_the_library_is_weighed_with_them():
    """A third reading that is the best of all where it says so: the blend is better with it than without."""
    rng = np.random.default_rng(1)
    count = 800
    truth = rng.uniform(3.0, 7.0, count)
    widths = np.where(rng.random((3, count)) < 0.5, 0.02, 0.2)
    head, field, other = truth + widths * rng.normal(size=(3, count))
    mixture = SizeMixture(torch.zeros(count, 1), torch.from_numpy(head).float()[:, None], torch.from_numpy(np.log(widths[0])).float()[:, None])
    apart = torch.from_numpy(field - head).float()
    reading = FieldReading(apart, apart, torch.from_numpy(np.log(widths[1])).float(), torch.zeros(count))
    library = LibraryReading(torch.from_numpy(other).float(), torch.from_numpy(np.log(widths[2])).float())
    errors = []
    for third in (None, library):
        readings = Readings(torch.from_numpy(truth).float(), torch.arange(count), mixture, reading, third)
        torch.manual_seed(0)
        blend = SizeBlend(library=third is not None)
        fit_blend(blend, readings, 0)
        with torch.no_grad():
            errors.append(float((blend(mixture, reading, third)[0] - readings.log_n).abs().mean()))
    assert errors[1] < 0.8 * errors[0]
