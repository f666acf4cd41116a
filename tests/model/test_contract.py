"""The contract of a generator: the shipped model keeps it, each way to break it is named, and nothing else looks into a decoder."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import deepstruc_hpc
from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.contract import Generator, Proposal
from deepstruc_hpc.model.loading import full_name, is_own, load_generator, own_identity
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.template_lattices import template_lattice
from deepstruc_hpc.testing import ConformanceError, check_generator, metal_curves

PACKAGE = Path(deepstruc_hpc.__file__).parent
LATTICE = template_lattice("fcc atom", 3.0)


def cut(count):
    mask = np.zeros(len(LATTICE), dtype=bool)
    mask[:count] = True
    return mask


class Cuts(Generator):
    """The first 13, 14, … sites of fcc."""

    name = "cuts"

    def propose(self, curve, *, symbol, n_samples, sigma, rng, instrument=None, elements=()):
        sizes = range(13, 13 + min(n_samples, 8))
        return [Proposal(LATTICE.structure(cut(n), symbol, nn_distance(symbol, "twelve")), occupation=(LATTICE, cut(n))) for n in sizes]

    def type_probabilities(self, curve, *, symbol=None, instrument=None):
        return {"fcc": 0.75, "octahedral": 0.75, "hcp": 0.25}


def changed(change):
    """:class:`Cuts` with each proposal changed."""

    class Changed(Cuts):
        def propose(self, curve, **request):
            return [change(one, request) for one in super().propose(curve, **request)]

    return Changed()


def with_structure(one, **values):
    return replace(one, structure=replace(one.structure, **values), occupation=None)


def moved(one, _request):
    positions = one.structure.positions.copy()
    positions[1] = positions[0] + 0.2
    return with_structure(one, positions=positions)


class Drawing(Cuts):
    """From the global state of numpy."""

    def propose(self, curve, **request):
        scale = 1.0 + 0.01 * np.random.random()  # noqa: NPY002 - what the check must find
        return [with_structure(one, positions=scale * one.structure.positions) for one in super().propose(curve, **request)]


class Counting(Cuts):
    """One structure more at every call."""

    calls = 0

    def propose(self, curve, **request):
        self.calls += 1
        return super().propose(curve, **{**request, "n_samples": min(self.calls, request["n_samples"])})


class Doubtful(Cuts):
    def type_probabilities(self, curve, *, symbol=None, instrument=None):
        return {"fcc": 0.9, "hcp": 0.4}


class Generous(Cuts):
    def propose(self, curve, **request):
        return super().propose(curve, **{**request, "n_samples": request["n_samples"] + 1})


class Odd(Cuts):
    def site_odds(self, curve, *, symbol, instrument=None, elements=()):
        return lambda _: np.zeros(7)


class Space:
    """A latent point that means another size among others than alone."""

    templates, names, kinds, probability = [LATTICE], ["fcc atom"], ["fcc"], np.ones(1)
    mean, std, most_atoms = np.zeros(2), np.ones(2), 60

    def occupations(self, points, template):
        return [cut(12 + len(points))] * len(points)

    def site_order(self, point, template):
        return np.arange(len(LATTICE))


class Searched(Cuts):
    def search_space(self, curve, *, symbol, instrument, rng):
        return Space()


class Broken(Cuts):
    def propose(self, curve, **_):
        raise KeyError("weights")


def test_a_generator_of_a_few_lines_keeps_the_contract():
    found = check_generator(Cuts(), reopen=False)
    assert not found.failed
    assert len(found.passed) == 10


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        (
            changed(lambda one, _: with_structure(one, positions=0.1 * one.structure.positions)),
            r"Å: .*nearest neighbours at 0\.288 Å, expected 2\.16",
        ),
        (changed(moved), "hold atoms at 0.* of their nearest-neighbour distance"),
        (changed(lambda one, _: with_structure(one, symbols=("Ag",) * len(one.structure))), "Ag in a proposal for Au"),
        (changed(lambda one, _: replace(one, latent=np.zeros(3))), r"latent point has shape \(3,\), the prior's \(0,\)"),
        (changed(lambda one, _: replace(one, log_prior=np.nan)), "log_prior is nan"),
        (changed(lambda one, _: replace(one, occupation=(LATTICE, cut(12)))), "12 sites are filled, but the structure has 1"),
        (
            changed(lambda one, _: replace(one, occupation=(LATTICE, np.roll(one.occupation[1], 9)))),
            "atoms do not lie on the filled sites of fcc atom",
        ),
        (changed(lambda one, _: replace(one, type_probability=1.5)), "type_probability 1.5"),
        (Generous(), "2 structures where 1 was asked for"),
        (Drawing(), "draw from rng alone"),
        (Counting(), "with the same seed, it proposes other structures"),
        (Doubtful(), r"add up to 1\.3"),
        (Odd(), "a lattice that nobody knows has odds"),
        (Searched(), "another occupation among others than alone"),
        (Broken(), "raises KeyError: 'weights'"),
    ],
)
def test_each_way_to_break_the_contract_is_named(generator, words):
    with pytest.raises(ConformanceError, match=words):
        check_generator(generator, curves=metal_curves()[:1], n_samples=6, reopen=False)


def test_what_is_missing_is_named_with_its_reason():
    class Bare:
        def propose(self, *_, **__):
            return []

    with pytest.raises(ConformanceError, match=r"(?s)has no site_odds: occupation refinement weighs.*has no search_space"):
        check_generator(Bare())


def test_a_generator_that_no_worker_could_open_is_named():
    class Local(Cuts):
        pass

    with pytest.raises(ConformanceError, match=r"cannot be pickled .*FILE\.py:NAME"):
        check_generator(Local(), curves=metal_curves()[:1], n_samples=4)


def test_the_shipped_model_keeps_the_contract():
    assert len(check_generator("default", n_samples=6, reopen=False).passed) == 10


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (None, "Own", "no file .*own.py"),
        ("import nowhere_to_be_found\n", "Own", "cannot be imported .*nowhere_to_be_found"),
        ("class Other: ...\n", "Own", "holds no 'Own'. It has Other"),
        ("class Own:\n    def __init__(self, path): ...\n", "Own", "cannot be called without arguments"),
        ("from deepstruc_hpc.model.contract import Generator\nclass Own(Generator): ...\n", "Own", "abstract method '?propose"),
        ("class Own: ...\n", "Own", "Own has no name, identity, decodes_elements, prior, propose.*Inherit from"),
    ],
)
def test_a_name_that_stands_for_no_generator_is_refused_with_the_reason(tmp_path, text, name, words):
    if text is not None:
        (tmp_path / "own.py").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        load_generator(f"{tmp_path / 'own.py'}:{name}")


def test_names_of_checkpoints_are_no_classes(tmp_path):
    assert [is_own(name) for name in ("default", "runs/one/checkpoint", "s3://bucket/model", "C:\\models\\one")] == [False] * 4
    assert is_own("package.module:Name")
    assert full_name("own.py:Own") == f"{Path('own.py').resolve()}:Own"
    assert full_name("package.module:Name") == "package.module:Name"


def test_another_content_of_the_file_is_another_identity(tmp_path):
    """Fails if a second call of solve would keep the answers of an earlier version of a user's file."""
    marks = []
    for number, line in enumerate(("", "# changed\n")):
        path = tmp_path / f"own{number}.py"
        path.write_text(f"from tests.model.test_contract import Cuts\nclass Own(Cuts):\n    identity = 'weights 1'\n{line}")
        marks.append(own_identity(f"{path}:Own"))
    assert marks[0] != marks[1]
    assert all(mark.startswith("cuts:weights 1:") for mark in marks)


def test_structures_of_the_test_curves_are_what_they_are_called():
    for test in metal_curves():
        assert isinstance(test.curve.g, np.ndarray)
        assert test.curve.source.startswith(test.symbol)
    assert isinstance(Cuts().propose(None, symbol="Au", n_samples=1, sigma=1.0, rng=None)[0].structure, Structure)


INSIDE = {"decoder_network", "book", "encoder", "pdf_prior", "site_logits", "template_logits"}
"""Attributes of a network by which a decoder or an encoder would be reached past the contract."""


def test_nothing_outside_the_model_reaches_into_a_network():
    """Imports are kept by an import contract (pyproject.toml); this keeps attributes. Settings (``config.model.encoder``) are no inside."""
    settings = {"model", "config", "info"}
    outside = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "model"]
    reached = [
        f"{path.relative_to(PACKAGE)}: {node.attr}"
        for path in outside
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in INSIDE and not (isinstance(node.value, ast.Attribute) and node.value.attr in settings)
    ]
    assert len(outside) > 200
    assert reached == []
