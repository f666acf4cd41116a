"""What a crystal × shape says of itself: its cell and U, the sizes and the shape of what is coherent, and the resolution that was refined with it."""

from __future__ import annotations

import math
from typing import Any

from deepstruc_hpc.physics.crystal_fit import CrystalFit


def crystal_words(fit: CrystalFit) -> list[str]:
    """Sentences on one crystal."""
    return [_cell(fit), *_shape(fit), *_resolution(fit)]


def crystal_details(fit: CrystalFit) -> dict[str, Any]:
    """The same as numbers, for result.json; lengths in Å, U in Å², Qdamp and Qbroad in Å⁻¹."""
    numbers: dict[str, Any] = {
        "cell": _rounded(fit.cell),
        "cell_error": _rounded(fit.cell_error),
        "uiso": {symbol: _digits(value) for symbol, value in fit.uiso.items()},
        "uiso_error": {symbol: _digits(value) for symbol, value in fit.uiso_error.items()},
        "delta2": _digits(fit.delta2),
        "shape": fit.shape,
        "diameter": _digits(fit.diameter),
        "diameter_error": _digits(fit.diameter_error),
        "at_least": _digits(fit.at_least),
        "rmax": _digits(fit.rmax),
        "qdamp": _digits(fit.qdamp),
        "qdamp_error": _digits(fit.qdamp_error),
        "qbroad": _digits(fit.qbroad),
        "qbroad_error": _digits(fit.qbroad_error),
    }
    if fit.shape == "lognormal":
        numbers |= {"size_spread": _digits(fit.size_spread), "size_spread_error": _digits(fit.size_spread_error)}
    if fit.shape == "spheroid":
        numbers |= {"aspect": _digits(fit.aspect), "aspect_error": _digits(fit.aspect_error)}
    if fit.rivals:
        numbers["other_shapes"] = list(fit.rivals)
    if fit.sizes is not None:
        names = ("mean", "mean_error", "spread", "spread_error", "rw")
        numbers["free_sizes"] = {name: _digits(getattr(fit.sizes, name)) for name in names}
    return numbers


def _cell(fit: CrystalFit) -> str:
    """Lengths that differ, with their uncertainties, and U."""
    lengths: dict[float, str] = {}
    for name, length, error in zip("abc", fit.cell, fit.cell_error, strict=True):
        lengths.setdefault(round(length, 6), f"{name} {measured(length, error)}")
    widths = dict.fromkeys(fit.uiso.values())
    names = {value: "/".join(symbol for symbol, other in fit.uiso.items() if other == value) for value in widths}
    uiso = [f"U{f'({name})' if len(names) > 1 else ''} {measured(value, fit.uiso_error[name.partition('/')[0]])} Å²" for value, name in names.items()]
    return f"{', '.join(lengths.values())} Å, {', '.join(uiso)}"


def _shape(fit: CrystalFit) -> list[str]:
    """The distribution of sizes, or the shape, with what else the curve leaves."""
    if fit.diameter is None or fit.diameter_error is None:
        return []
    sentences = []
    if fit.shape == "lognormal":
        width = f"width {100 * fit.size_spread:.0f} ± {max(100 * fit.size_spread_error, 1.0):.0f} %"
        sentences.append(f"lognormal, mean {measured(fit.diameter, fit.diameter_error)} Å (by volume), {width}")
    elif fit.shape == "spheroid":
        sentences.append(f"spheroids of aspect {measured(fit.aspect, fit.aspect_error)} (length over width) explain the curve better than spheres")
    elif fit.shape != "sphere":
        sentences.append(f"the outline of {'an' if fit.shape[0] in 'aeiou' else 'a'} {fit.shape} explains the curve better than a sphere")
    if fit.rivals:
        sentences.append(f"{' or '.join(fit.rivals)} would fit about as well")
    return sentences


def _resolution(fit: CrystalFit) -> list[str]:
    """Qdamp where it was refined; what a Qbroad does to a size is small."""
    if not fit.qdamp_error > 0:
        return []
    return [f"Qdamp is not known and was refined with the size: {measured(fit.qdamp, fit.qdamp_error)} Å⁻¹"]


def measured(value: float, error: float) -> str:
    """A value with its uncertainty of one or two digits: ``4.0782 ± 0.0003``."""
    if not error > 0:
        return f"{value:.4g}"
    leading = error / 10.0 ** math.floor(math.log10(error))
    digits = max(0, -math.floor(math.log10(error)) + (1 if leading < 1.95 else 0))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _digits(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [float(f"{value:.7g}") for value in values]
