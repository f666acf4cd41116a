"""A checkpoint that an earlier release wrote still loads and still means the same.

``tests/reference/checkpoint-schema-2`` holds two small ones, untrained, as the program of schema 2 wrote them, and what they say of one curve. A
change of the schema, of a setting's meaning, of the order of a lattice's sites or of a site's features makes these tests fail: then old checkpoints
must be converted where they are read, or refused by their number.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deepstruc_hpc.core.config import STORED as STORED_NAMES
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.model.checkpoint import DESCRIPTION, PRETRAINED_DIR, WEIGHTS, load_model, read_info, save_checkpoint, write_info
from deepstruc_hpc.model.checkpoint_info import SCHEMA_VERSION, CheckpointInfo
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.training.config import TrainConfig
from deepstruc_hpc.training.held_out import training_settings
from deepstruc_hpc.training.run_files import RunFiles

STORED = Path(__file__).resolve().parents[1] / "reference" / "checkpoint-schema-2"
KINDS = ("coordinates", "sites")
LARGEST_MB = 10.0
"""A model travels in the wheel and in git: small enough for both."""


def curve():
    """A curve by a formula, which no other part of the program can change."""
    r = np.arange(1.5, 20.0, 0.02)
    return PdfCurve(r, np.sin(2.2 * (r - 2.1)) * np.exp(-0.15 * r) + np.exp(-0.5 * ((r - 2.88) / 0.15) ** 2), source="formula")


def predicted(model):
    """What a model says of the curve, and what it decodes from two latent points."""
    mean, std = model.prior(curve(), symbol="Au")
    points = np.stack([mean, mean + 0.5])
    kinds = model.type_probabilities(curve(), symbol="Au")
    decoded = [float(np.abs(one.positions).mean()) for one in model.decode(points, symbol="Au")]
    return {"mean": mean.tolist(), "std": std.tolist(), "types": kinds, "decoded": decoded, "atoms": [len(one) for one in model.decode(points)]}


def write():
    """Write both anew, with the present program: ``python -c "from tests.model.test_stored_checkpoint import write; write()"``.

    Only for a new schema, into a directory of its own: the old ones stay.
    """
    from tests.model import clusters, test_sites

    for kind, network, config in (("coordinates", clusters.tiny_network(), clusters.TINY), ("sites", test_sites.network(), test_sites.TINY)):
        info = CheckpointInfo(model=config, catalog_id="a" * 32, catalog_hash="b" * 32, epoch=3, latent_widths=(1.5,) * config.latent_dim)
        directory = save_checkpoint(STORED.with_name(f"checkpoint-schema-{SCHEMA_VERSION}") / kind, network.eval(), info)
        (directory / "predicted.json").write_text(json.dumps(predicted(load_model(directory)), indent=1) + "\n")


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_schema_2_says_what_it_said(kind):
    before, now = json.loads((STORED / kind / "predicted.json").read_text()), predicted(load_model(STORED / kind))
    assert now["atoms"] == before["atoms"]
    assert now["types"] == pytest.approx(before["types"], rel=1e-3)
    for name in ("mean", "std", "decoded"):
        assert now[name] == pytest.approx(before[name], rel=1e-3, abs=1e-4), name


def test_the_shipped_model_loads_is_small_and_names_its_schema():
    info = load_model("default").info
    assert (info.schema_version, info.model.decoder) == (SCHEMA_VERSION, "sites")
    assert len(info.stated_widths()) == info.model.latent_dim
    assert all(path.stat().st_size <= LARGEST_MB * 1e6 for path in PRETRAINED_DIR.rglob(WEIGHTS))


@pytest.mark.parametrize("name", ["default", "compounds"])
def test_settings_are_written_and_hashed_under_their_stored_names(name, tmp_path):
    """Fails when a setting that got another name changes the hash of a model's weights, or what earlier releases read."""
    stored, info = json.loads((PRETRAINED_DIR / name / DESCRIPTION).read_text()), read_info(PRETRAINED_DIR / name)
    assert info.model.model_dump_json(context=STORED_NAMES) == json.dumps(stored["model"], separators=(",", ":"), ensure_ascii=False)
    assert "parents" in stored["model"]["sites"]
    assert "template_lattices" in info.model.model_dump()["sites"]
    assert training_settings(info, name).loss.template_lattice == stored["settings"]["loss"]["parent"]
    write_info(tmp_path, info)
    assert json.loads((tmp_path / DESCRIPTION).read_text()) == stored


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": SCHEMA_VERSION - 1}, rf"schema {SCHEMA_VERSION - 1}, .*reads schema {SCHEMA_VERSION}.*Train again or use the version"),
        ({"schema_version": None}, "schema None"),
        ({"charge": 1}, "charge: Extra inputs are not permitted.*of another version"),
        ({"model": {"decoder": "voxels"}}, "decoder 'voxels' is not one of"),
    ],
)
def test_another_schema_is_refused_with_a_word(tmp_path, change, words):
    values = json.loads((STORED / "sites" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(CheckpointError, match=words):
        load_model(tmp_path)


def test_a_stored_description_without_new_settings_takes_their_defaults():
    """Fails when a setting is added without a default: no earlier model could be read then."""
    values = json.loads((STORED / "sites" / "config.json").read_text())["model"]
    for name in ("log_std_floor", "elements", "coordinates"):
        values.pop(name)
    assert ModelConfig.model_validate(values, context=STORED_NAMES).coordinates == ModelConfig().coordinates


def test_a_training_does_not_go_on_with_a_changed_catalog(tmp_path):
    """Fails when a catalog that was built anew with other structures continues an old training as if nothing had happened."""
    config = TrainConfig()
    first, other = (SimpleNamespace(id="recipe", content_hash=digit * 32) for digit in "ab")
    files = RunFiles(tmp_path / "run")
    files.begin(config, first, "catalog.zarr", resume=False)
    files.begin(config, first, "catalog.zarr", resume=True)
    with pytest.raises(CheckpointError, match="begun on a catalog with the content aaaaaaaaaaaa, but the one given has bbbbbbbbbbbb"):
        files.begin(config, other, "catalog.zarr", resume=True)
