"""Settings are frozen, refuse what they do not know, and say where a fault is."""

from collections.abc import Mapping
from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from deepstruc_hpc.core.config import Config, load_config
from deepstruc_hpc.core.errors import ConfigError, RecipeError, RenamedKeyWarning
from deepstruc_hpc.core.ranges import with_settings
from deepstruc_hpc.solve.config import SolveSettings


class Beam(Config):
    qmax: float = Field(25.0, gt=0)
    qmin: float = 0.7


class Run(Config):
    epochs: int = 3
    beam: Beam = Beam()


def test_overrides_win_over_the_file_and_descend_by_dots(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("epochs: 5\nbeam:\n  qmax: 20\n")
    run = load_config(Run, path, ["beam.qmin=1.5", "epochs=7"])
    assert run == Run(epochs=7, beam=Beam(qmax=20, qmin=1.5))


def test_yaml_written_by_a_config_is_read_back_equal(tmp_path):
    path = tmp_path / "run.yaml"
    run = Run(epochs=9, beam=Beam(qmin=0.25))
    path.write_text(run.to_yaml())
    assert load_config(Run, path) == run


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("epoch: 3\n", ["epoch", "unknown key", "'epochs'"]),
        ("beam:\n  qmaxx: 3\n", ["beam.qmaxx", "'beam.qmax'"]),
        ("beam:\n  qmax: -1\n", ["beam.qmax", "-1", "greater than 0"]),
        ("- 1\n- 2\n", ["list", "mapping"]),
        ("a: [1\n", ["not valid YAML"]),
    ],
)
def test_a_fault_names_the_file_the_key_and_the_remedy(tmp_path, text, parts):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as fault:
        load_config(Run, path)
    for part in [str(path), *parts]:
        assert part in str(fault.value)


def test_a_missing_file_and_a_binary_file_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(Run, tmp_path / "nothing.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(RecipeError, match="cannot be read as text"):
        load_config(Run, binary, error=RecipeError)


@pytest.mark.parametrize("override", ["epochs", "=3", "epochs.deep=3"])
def test_a_malformed_override_is_refused(override, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("epochs: 3\n")
    with pytest.raises(ConfigError, match="--set"):
        load_config(Run, path, [override])


def test_settings_cannot_be_changed_after_the_fact_but_copies_are_validated():
    run = Run()
    with pytest.raises(ValidationError):
        run.epochs = 4
    assert run.updated(epochs=4).epochs == 4
    with pytest.raises(ValidationError):
        run.updated(epochs="many")


class Renamed(Config):
    renamed: ClassVar[Mapping[str, str]] = {"cutoff": "qmax"}
    qmax: float = 25.0


def test_a_key_of_the_release_before_is_read_under_its_present_name_and_not_written_again():
    with pytest.warns(RenamedKeyWarning, match="cutoff is called qmax now"):
        read = load_config(Renamed, overrides=["cutoff=18"])
    assert read.qmax == 18
    assert "cutoff" not in read.to_yaml()
    with pytest.raises(ConfigError, match=r"^settings: given .*cutoff \(now qmax\); keep one$"):
        load_config(Renamed, overrides=["cutoff=18", "qmax=20"])


def test_the_settings_of_solve_still_know_their_earlier_names():
    with pytest.warns(RenamedKeyWarning) as noted:
        read = load_config(SolveSettings, overrides=["neighbours=60", "relax=true", "rank.tell_apart=0.2"])
    assert (read.local_shapes, read.refine_positions, read.rank.indistinguishable) == (60, True, 0.2)
    assert len(noted) == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("neighbors=10", "neighbors: unknown key. Did you mean 'local_shapes' (earlier neighbours)?"),
        ("rank.dobt=0.1", "rank.dobt: unknown key. Did you mean 'rank.doubt'?"),
        ("doubt=0.1", "doubt: unknown key. Did you mean 'rank.doubt'?"),
        ("rank.tell_apar=0.1", "rank.tell_apar: unknown key. Did you mean 'rank.indistinguishable' (earlier tell_apart)?"),
        ("xyzzy=1", "xyzzy: unknown key."),
    ],
)
def test_an_unknown_key_of_solve_is_answered_with_the_whole_present_name(override, message):
    with pytest.raises(ConfigError) as fault:
        load_config(SolveSettings, overrides=[override])
    assert str(fault.value) == f"settings: {message} All keys: deepstruc-hpc solve --print-config."


@pytest.mark.parametrize(
    "overrides", [["rmin=10", "rmax=5"], ["neighbours=60", "local_shapes=20"], ["rank.tell_apart=0.1", "rank.indistinguishable=0.2"]]
)
def test_a_fault_of_several_settings_together_names_these_and_lists_no_others(overrides):
    with pytest.raises(ConfigError) as fault:
        load_config(SolveSettings, overrides=overrides)
    assert "found" not in str(fault.value)
    assert len(str(fault.value)) < 120
    for override in overrides:
        assert override.partition("=")[0].rpartition(".")[2] in str(fault.value)


def test_an_earlier_name_replaces_a_base_setting_as_its_present_name_does():
    base = SolveSettings()
    with pytest.warns(RenamedKeyWarning):
        changed = with_settings(base, {"neighbours": 60, "rank.tell_apart": 0.2})
    assert changed == with_settings(base, {"local_shapes": 60, "rank.indistinguishable": 0.2}) != base
