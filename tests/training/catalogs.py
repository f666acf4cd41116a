"""A tiny catalog made by the real builders, and settings that train on it in seconds."""

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.training.config import load_train_config
from tests.catalog.recipes import small_recipe


def build_tiny(directory):
    """32 structures in one process, without Ray."""
    store = directory / "tiny.zarr"
    build_catalog(small_recipe(), store, workers=0, progress=False)
    return store


def tiny_settings(*overrides):
    """The smoke preset, smaller still."""
    return load_train_config("smoke", ["samples_per_epoch=32", "batch_size=16", *overrides])
