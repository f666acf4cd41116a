"""What deepstruc_hpc takes from the inside of Ray is still there, in the Ray that is installed."""

import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from deepstruc_hpc.training.lean_trainer import SPARE, TRIED_WITH, LeanTorchTrainer


def names(trainer_class):
    trainer = trainer_class(print, scaling_config=ScalingConfig(num_workers=1), run_config=RunConfig(storage_path="/nowhere"))
    return [type(callback).__name__ for callback in trainer._create_default_callbacks()]


def test_the_trainer_leaves_out_two_of_rays_helpers_and_nothing_else():
    """The method and the classes have no promise of Ray's: a new version may rename them, and the helpers would quietly be back."""
    assert ray.__version__.startswith(f"{TRIED_WITH}."), (
        f"Ray {ray.__version__}: lean_trainer.py was tried with Ray {TRIED_WITH}. See that the names are the same and that a search still ends, "
        "then set TRIED_WITH."
    )
    all_of_them, ours = names(TorchTrainer), names(LeanTorchTrainer)
    assert set(all_of_them) >= SPARE
    assert ours == [name for name in all_of_them if name not in SPARE]
    assert "BackendSetupCallback" in ours
