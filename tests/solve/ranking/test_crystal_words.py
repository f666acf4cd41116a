"""What an answer says of a crystal's cell, sizes and shape."""

from types import SimpleNamespace

import pytest

from deepstruc_hpc.physics.crystal_finish import WIDE
from deepstruc_hpc.solve.ranking.crystal_words import crystal_details, crystal_words, measured


def fit(**changes):
    sizes = SimpleNamespace(mean=42.5, mean_error=2.2, spread=0.2, spread_error=0.03, rw=0.05)
    values = {
        "cell": (4.0782, 4.0782, 4.0782), "cell_error": (0.0003,) * 3, "uiso": {"Ce": 0.005, "O": 0.009}, "uiso_error": {"Ce": 0.0002, "O": 0.0011},
        "delta2": 1.0, "shape": "sphere", "diameter": 42.0, "diameter_error": 2.0, "at_least": 38.0, "rmax": 60.0, "qdamp": 0.03, "qdamp_error": 0.0,
        "qbroad": 0.0, "qbroad_error": 0.0, "size_spread": 0.0, "size_spread_error": 0.0, "aspect": 1.0, "aspect_error": 0.0, "rivals": (),
        "sizes": sizes,
    }  # fmt: skip
    return SimpleNamespace(**{**values, **changes})


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (4.0782, 0.0003, "4.0782 ± 0.0003"),
        (42.04, 2.1, "42 ± 2"),
        (0.03141, 0.0012, "0.0314 ± 0.0012"),
        (61.2, 0.97, "61.2 ± 1.0"),
        (1.5, 0.0, "1.5"),
    ],
)
def test_an_uncertainty_has_one_digit_or_two(value, error, expected):
    assert measured(value, error) == expected


def test_a_distribution_is_told_with_mean_and_width():
    words = "; ".join(crystal_words(fit(shape="lognormal", size_spread=0.18, size_spread_error=0.03, rivals=("spheres of one size",))))
    assert "lognormal, mean 42 ± 2 Å (by volume), width 18 ± 3 %" in words
    assert "spheres of one size would fit about as well" in words
    assert "disorder" not in words


def test_sizes_too_wide_to_be_sizes_are_said_beside_the_sphere():
    words = "; ".join(crystal_words(fit(shape="sphere", rivals=(WIDE,))))
    assert "more than 50 %, which stands for shape or disorder" in words


def test_a_bulk_crystal_says_its_cell_and_no_size():
    words = crystal_words(fit(shape="sphere", diameter=None, diameter_error=None, cell=(3.2, 3.2, 5.2), cell_error=(0.001, 0.001, 0.004)))
    assert words == ["a 3.2000 ± 0.0010, c 5.200 ± 0.004 Å, U(Ce) 0.0050 ± 0.0002 Å², U(O) 0.0090 ± 0.0011 Å²"]


def test_other_shapes_and_a_refined_qdamp_are_said():
    words = "; ".join(crystal_words(fit(shape="spheroid", aspect=0.6, aspect_error=0.04, qdamp_error=0.003)))
    assert "spheroids of aspect 0.60 ± 0.04" in words
    assert "Qdamp is not known and was refined with the size: 0.030 ± 0.003 Å⁻¹" in words
    assert "the outline of an octahedron" in "; ".join(crystal_words(fit(shape="octahedron")))


def test_details_are_plain_numbers():
    details = crystal_details(fit(shape="lognormal", size_spread=0.18, size_spread_error=0.03))
    assert details["cell"] == [4.0782] * 3
    assert details["uiso_error"] == {"Ce": 0.0002, "O": 0.0011}
    assert details["size_spread"] == 0.18
    assert details["free_sizes"] == {"mean": 42.5, "mean_error": 2.2, "spread": 0.2, "spread_error": 0.03, "rw": 0.05}
    assert crystal_details(fit(sizes=None, diameter=None))["diameter"] is None
