"""Checkpoints come back as they were written, and refuse what does not fit."""

import json

import numpy as np
import pytest
import torch

from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.model.checkpoint import find_checkpoint, load_model, load_network, load_training_state, read_info, save_checkpoint
from deepstruc_hpc.model.config import ModelConfig
from tests.model.clusters import tiny_info, tiny_network


@pytest.fixture
def checkpoint(tmp_path):
    return save_checkpoint(tmp_path / "run" / "checkpoint", tiny_network(), tiny_info(), {"epoch": 3})


def test_weights_and_words_come_back(checkpoint):
    network, info = load_network(checkpoint)
    assert info == tiny_info()
    for name, tensor in tiny_network().state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)
    assert load_training_state(checkpoint) == {"epoch": 3}


def test_a_run_is_as_good_as_the_checkpoint_in_it(checkpoint):
    assert find_checkpoint(checkpoint.parent) == checkpoint
    assert load_model(checkpoint.parent).info.epoch == 3


def test_writing_again_replaces_the_whole_and_leaves_nothing_behind(checkpoint):
    save_checkpoint(checkpoint, tiny_network(seed=1), tiny_info(epoch=4))
    assert read_info(checkpoint).epoch == 4
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["checkpoint"]
    assert not (checkpoint / "training_state.pt").exists()


def test_another_schema_is_refused_by_number(checkpoint):
    path = checkpoint / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(CheckpointError, match=r"schema 99.*reads schema 2"):
        load_model(checkpoint)


def test_weights_of_another_size_are_refused(checkpoint):
    path = checkpoint / "config.json"
    values = json.loads(path.read_text())
    values["model"]["latent_dim"] = 5
    path.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="do not fit the settings"):
        load_model(checkpoint)


@pytest.mark.parametrize(("name", "content"), [("model.safetensors", b"not weights"), ("config.json", b"{broken")])
def test_damaged_files_are_named(checkpoint, name, content):
    (checkpoint / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}: cannot be read"):
        load_model(checkpoint)


def test_missing_weights_are_named(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_model(checkpoint)


def test_no_checkpoint_says_what_is_needed(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        load_model(tmp_path)


def test_an_unknown_decoder_is_refused():
    with pytest.raises(ValueError, match="'voxels' is not one of coordinates"):
        ModelConfig(decoder="voxels")


def test_a_loaded_model_computes_what_the_written_one_did(checkpoint):
    z = np.random.default_rng(0).standard_normal((4, 3))
    network = tiny_network().eval()
    with torch.no_grad():
        expected = network.decode(torch.from_numpy(z.astype(np.float32)))
    structures = load_model(checkpoint).decode(z, symbol="Au", nn_distance=2.0)
    for row, structure in enumerate(structures):
        assert structure.positions == pytest.approx(2.0 * expected.positions[row, : len(structure)].numpy(), abs=1e-5)
        assert len(structure) == int(expected.n_atoms()[row])


def test_a_calibration_of_another_latent_space_is_refused(checkpoint):
    path = checkpoint / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "latent_widths": [1.0, 2.0]}))
    with pytest.raises(CheckpointError, match="2 factors for 3 latent coordinates"):
        read_info(checkpoint)
