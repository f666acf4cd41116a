"""The examples of CONTRIBUTING.md do what it says."""

import re
from pathlib import Path

import numpy as np
import pytest

from deepstruc_hpc.solve.search import moves
from deepstruc_hpc.structures import families
from deepstruc_hpc.structures.occupation import assign_lattice
from tests.structures.particles import ball

TEXT = (Path(__file__).resolve().parent.parent / "CONTRIBUTING.md").read_text()


def _example(title):
    code = re.search(rf"### {title}.*?```python\n(.*?)```", TEXT, flags=re.DOTALL)
    names = {}
    exec(compile(code[1], "CONTRIBUTING.md", "exec"), names)  # noqa: S102  (our own document)
    return names


def test_the_family_lists_and_builds_what_it_says():
    rings = _example("A family of structures")["rings"]
    shapes = list(rings.enumerate(6, 20))
    assert [shape.n_atoms for shape in shapes] == list(range(6, 21))
    for shape in shapes:
        built = rings.build(shape, "Au", 2.88)
        gaps = np.linalg.norm(built.positions[:, None] - built.positions, axis=2) + 9.0 * np.eye(len(built))
        assert gaps.min(axis=1) == pytest.approx(np.full(len(built), 2.88))


def test_the_registry_takes_it(monkeypatch):
    rings = _example("A family of structures")["rings"]
    monkeypatch.setitem(families.FAMILIES, "ring", rings)
    assert families.family_named("ring") is rings


def test_the_move_is_made(monkeypatch):
    half = _example("A move of the local search")["half_moves"]
    held = assign_lattice(ball("fcc atom", 2.4))
    monkeypatch.setattr(moves, "MOVES", (half,))
    monkeypatch.setattr(moves, "fault_moves", lambda _: iter(()))
    (found,) = moves.all_moves(held, np.random.default_rng(0))
    assert 15 < found.mask.sum() < 45


def test_the_dialect_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    curve = _example("A dialect of PDF files")["curve"]
    assert curve.r[-1] == pytest.approx(19.99)
    assert capsys.readouterr().out.split() == ["24.0", str(curve.r[-1]), "Au"]
