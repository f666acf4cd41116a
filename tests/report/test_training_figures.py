"""Pictures of trainings and of searches: what is drawn is what was given."""

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.report.figures import save_figure
from deepstruc_hpc.report.training_figures import Reconstruction, latent_map_figure, learning_figure, reconstructions_figure
from deepstruc_hpc.report.trials_figure import trials_figure


def is_picture(figure, path):
    save_figure(figure, path)
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


def test_every_trial_is_a_line_and_every_setting_an_axis(tmp_path):
    rng = np.random.default_rng(0)
    trials = pd.DataFrame(
        {
            "trial": list("abcdefgh"),
            "model.latent_dim": [2, 8, 16, 2, 8, 16, 2, 8],
            "optimiser.learning_rate": 10.0 ** rng.uniform(-4, -2, 8),
            "model.decoder": ["sites", "coordinates"] * 4,
            "loss.kl": [0.01] * 8,
            "val_loss": rng.uniform(0.1, 2, 8),
        }
    )
    settings = ["model.latent_dim", "optimiser.learning_rate", "model.decoder", "loss.kl"]
    figure = trials_figure(trials, settings, "val_loss")
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == len(settings) + 1]
    assert len(lines) == len(trials)
    ends = [line.get_ydata()[-1] for line in lines]
    assert ends == sorted(ends, reverse=True)  # the best is drawn last, on top
    assert (min(ends), max(ends)) == (0.0, 1.0)
    words = {text.get_text() for text in figure.axes[0].texts}
    assert {"sites", "coordinates", "16", "0.01"} <= words
    assert is_picture(figure, tmp_path / "trials.png")


@pytest.mark.parametrize("dimensions", [1, 2, 16])
def test_the_latent_map_shows_every_structure_whatever_the_dimensions(tmp_path, dimensions):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(60, dimensions)) * np.r_[5.0, np.ones(dimensions - 1)]
    figure = latent_map_figure(points, ["fcc", "hcp", "B2 alloy"] * 20)
    assert sum(len(part.get_offsets()) for part in figure.axes[0].collections) == 60
    assert ("dimensions" in figure.axes[0].get_title(loc="left")) == (dimensions > 2)
    assert is_picture(figure, tmp_path / "latent.png")


def test_reconstructions_and_learning_are_drawn(tmp_path):
    rng = np.random.default_rng(2)
    samples = [Reconstruction("fcc", "hcp", rng.normal(size=(13, 3)), rng.normal(size=(12, 3))) for _ in range(5)]
    figure = reconstructions_figure(samples)
    assert "13 atoms" in figure.axes[0].get_title()
    assert is_picture(figure, tmp_path / "reconstructions.png")
    epochs = [{"epoch": float(n), "train_loss": 1 / n, "val_loss": 1.1 / n, "val_n_exact": 1 - 1 / n, "val_type_exact": 1.0} for n in range(1, 9)]
    assert is_picture(learning_figure(epochs), tmp_path / "learning.png")
