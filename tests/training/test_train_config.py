"""Settings of trainings and sweeps, and what a run's directory allows."""

import pytest

from deepstruc_hpc.core.errors import CheckpointError, ConfigError
from deepstruc_hpc.core.ranges import with_settings
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.training.config import load_train_config, preset_names
from deepstruc_hpc.training.run_files import RunFiles
from deepstruc_hpc.training.sweep_config import SweepConfig, load_sweep_config
from deepstruc_hpc.training.view import resolved_model
from tests.training.catalogs import tiny_settings


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_survives_yaml(name, tmp_path):
    config = load_train_config(name)
    path = tmp_path / "again.yaml"
    path.write_text(config.to_yaml())
    assert load_train_config(str(path)) == config


def test_the_papers_preset_is_the_papers_protocol():
    config = load_train_config("paper")
    assert (config.model.latent_dim, config.data.split, config.data.pdfs, config.data.atom_order) == (2, "random", "stored", "builder")
    assert (config.data.validation, config.data.test) == (0.2, 0.2)


def test_an_unknown_key_is_refused_with_the_nearest_known_one():
    with pytest.raises(ConfigError, match="Did you mean 'batch_size'"):
        load_train_config("smoke", ["batchsize=3"])


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"demo, paper.*smoke"):
        load_train_config("smokes")


def test_a_model_takes_its_size_and_types_from_the_catalog(tiny_store):
    catalog = Catalog.open(tiny_store)
    model = resolved_model(tiny_settings().model, catalog)
    assert model.max_atoms == int(catalog.columns["n_atoms"].max())
    assert set(model.structure_types) == set(catalog.columns["structure_type"])


@pytest.mark.parametrize(("change", "words"), [("model.max_atoms=5", "max_atoms: 5"), ("model.structure_types=[fcc]", "also holds")])
def test_a_catalog_that_does_not_fit_the_model_is_refused(tiny_store, change, words):
    with pytest.raises(ConfigError, match=words):
        resolved_model(tiny_settings(change).model, Catalog.open(tiny_store))


def test_a_run_is_not_overwritten_and_not_resumed_with_other_settings(tiny_store, tmp_path):
    files, catalog = RunFiles(tmp_path / "run"), Catalog.open(tiny_store)
    files.begin(tiny_settings(), catalog, str(tiny_store), resume=False)
    with pytest.raises(ConfigError, match="Add --resume"):
        files.begin(tiny_settings(), catalog, str(tiny_store), resume=False)
    with pytest.raises(ConfigError, match=r"optimiser\.learning_rate = 0\.002.*asks for 0\.1"):
        files.begin(tiny_settings("optimiser.learning_rate=0.1"), catalog, str(tiny_store), resume=True)
    files.begin(tiny_settings("epochs=9"), catalog, str(tiny_store), resume=True)
    assert load_train_config(str(files.settings)).epochs == 9


def test_a_run_is_not_resumed_on_another_catalog(tiny_store, tmp_path):
    files, catalog = RunFiles(tmp_path / "run"), Catalog.open(tiny_store)
    files.begin(tiny_settings(), catalog, str(tiny_store), resume=False)
    files.update_identity(catalog_hash="0123456789abcdef")
    with pytest.raises(CheckpointError, match="content 0123456789ab"):
        files.begin(tiny_settings(), catalog, str(tiny_store), resume=True)


def sweep_yaml(tmp_path, space):
    path = tmp_path / "sweep.yaml"
    path.write_text(f"trials: 2\nspace:\n{space}\n")
    return path


def test_a_space_is_checked_against_the_settings_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match="learning_rat"):
        load_sweep_config(sweep_yaml(tmp_path, "  optimiser.learning_rat: {log_uniform: [1.0e-4, 1.0e-2]}"))
    with pytest.raises(ConfigError, match="no group of settings 'optimizer'"):
        load_sweep_config(sweep_yaml(tmp_path, "  optimizer.learning_rate: {uniform: [0.1, 0.2]}"))


@pytest.mark.parametrize("values", ["{}", "{uniform: [2, 1]}", "{log_uniform: [0, 1]}", "{uniform: [0, 1], choice: [1]}"])
def test_a_range_is_one_kind_and_runs_upward(tmp_path, values):
    with pytest.raises(ConfigError):
        load_sweep_config(sweep_yaml(tmp_path, f"  loss.kl: {values}"))


def test_settings_of_a_trial_are_the_base_with_the_searched_keys_replaced():
    config = with_settings(tiny_settings(), {"optimiser.learning_rate": 0.5, "model.latent_dim": 2})
    assert (config.optimiser.learning_rate, config.model.latent_dim) == (0.5, 2)
    assert config.updated(optimiser=tiny_settings().optimiser.model_dump(), model=tiny_settings().model.model_dump()) == tiny_settings()
    assert SweepConfig(space={"loss.kl": {"choice": [0.1]}}).concurrent == 2
