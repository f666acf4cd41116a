"""The comparison of shapes that all tests run under sees what it should, and no program pays for it."""

import subprocess
import sys
import types

import numpy as np
import pytest

from deepstruc_hpc.core import shapes
from deepstruc_hpc.physics.debye import simulate_fq
from deepstruc_hpc.structures.sites import shortest_distance
from tests import shape_checks
from tests.shape_checks import ShapeError, check_module

SOURCE = """
from __future__ import annotations
from deepstruc_hpc.core.shapes import *
def halves(r: Float64[Floats, " r"], wrong: int = 0) -> Float64[Floats, " r"]:
    return r[wrong:] / 2
def total(positions: Real[Numbers, "atoms 3"], uiso: PerAtom) -> float:
    if len(positions) == 1:
        raise ValueError("one atom")
    return 0.0
class Box:
    @property
    def lattice(self) -> CellVectors:
        return self.found
"""


@pytest.fixture
def module():
    made = types.ModuleType("made_here")
    exec(compile(SOURCE, "made_here", "exec"), vars(made))  # noqa: S102
    check_module(made)
    return made


def test_a_result_of_another_length_or_type_is_an_error(module):
    assert module.halves(np.ones(3)).shape == (3,)
    with pytest.raises(ShapeError, match=r"halves: the result is float64 \(2,\)"):
        module.halves(np.ones(3), wrong=1)
    with pytest.raises(ShapeError, match="r is float32"):
        module.halves(np.ones(3, dtype=np.float32))


def test_lists_have_the_shape_of_their_array(module):
    assert module.total([[0, 0, 0], [1, 0, 0]], 0.005) == 0.0
    assert module.total([[0, 0, 0], [1, 0, 0]], [0.005, 0.01]) == 0.0
    with pytest.raises(ShapeError, match="uiso"):
        module.total([[0, 0, 0], [1, 0, 0]], [0.005, 0.01, 0.01])


def test_what_a_function_refuses_itself_keeps_its_words(module):
    with pytest.raises(ValueError, match="one atom"):
        module.total([[0, 0]], 0.005)


def test_properties_are_compared(module):
    box = module.Box()
    box.found = np.eye(3)
    assert box.lattice is box.found
    box.found = np.eye(2)
    with pytest.raises(ShapeError, match="lattice"):
        box.lattice  # noqa: B018


def test_functions_that_other_modules_have_taken_are_the_compared_ones():
    for function in (simulate_fq, shortest_distance):
        assert f"{function.__module__}.{function.__qualname__}" in shape_checks.wrapped
        assert hasattr(function, "__wrapped__")


def test_the_program_does_not_load_jaxtyping():
    code = "import sys, deepstruc_hpc.physics.debye; from deepstruc_hpc.core.shapes import Positions; print('jaxtyping' in sys.modules, Positions)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False ")
    assert str(shapes.Positions) not in done.stdout
