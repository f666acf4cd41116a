"""Qmin and Qmax as a header gives them, held against what the curve itself shows."""

from __future__ import annotations

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.pdf_checks import MIN_POINTS
from deepstruc_hpc.data.pdf_spectrum import power_below, spectral_qmax

USUAL = (4.0, 100.0)
"""Å⁻¹: Qmax of PDFs of atoms, from electrons on a small detector to spallation neutrons."""
LARGEST_QMIN = 15.0
AGREES = 0.2
"""Relative: a header's Qmax so near to the end of the spectrum is believed. Smoothing and noise hide the last Å⁻¹ of a measured one."""
SAME = 0.08
"""Relative: how near to the end of the spectrum a value in another unit must come."""
BONDS = 1.5
"""Å: below lie bonds of hydrogen and of the first row alone; noise and ghosts there are often larger than any peak."""
QMIN_DOUBTED = 1.5
"""Å⁻¹: a smaller Qmin is not checked; no peak of F(Q) lies below but those of large cells, and it changes little."""
POWER_BELOW = 0.15
"""Share of the power below a stated Qmin from which on the curve contradicts it; the window of the spectrum lets 0.05 through."""
_UNITS = (
    (0.1, "it was taken as nm⁻¹"),
    (2 * np.pi, "it was taken as 1/d = Q/2π"),
    (1 / (2 * np.pi), "it was taken as 2π times too large"),
    (10.0, "it was taken as pm⁻¹ × 10"),
)


_WRONG_LENGTHS = (10.0, 2 * np.pi, 0.1, 1 / (2 * np.pi))
"""The header's Qmax over the end of the spectrum where r is in another unit and Qmax is right."""
_WRONG_GUESSES = (10.0 / (2 * np.pi), 2 * np.pi / 10.0, 10.0, 0.1)
"""The same where r was taken for nm or pm and is neither."""


def settle_q(path: str, curve: PdfCurve, header: dict[str, float | str], notes: list[str], *, unit_guessed: bool) -> None:
    """Keep, convert, replace or drop the header's Qmin and Qmax, with a note for whatever is not kept.

    Args:
        path: for messages.
        curve: r in Å.
        header: changed in place.
        notes: added to.
        unit_guessed: the unit of r was taken from the numbers.

    Raises:
        PdfFileError: r must be in another unit, or the curve is of small-angle scattering.
    """
    stated = header.get("qmax")
    if isinstance(stated, float) and stated > 0:
        _settle_qmax(path, curve, header, notes, unit_guessed=unit_guessed)
    else:
        header.pop("qmax", None)  # PDFgui writes qmax=0 for "no correction"
    _settle_qmin(curve, header, notes)


def _settle_qmax(path: str, curve: PdfCurve, header: dict[str, float | str], notes: list[str], *, unit_guessed: bool) -> None:
    stated = float(header["qmax"])
    seen = _end_of_spectrum(curve, stated)
    if stated < 1.0 and (unit_guessed or seen is None or seen < 1.0 or curve.r[-1] > 100.0):
        raise PdfFileError(
            f"{path}: the header's Qmax, {stated:g} Å⁻¹, belongs to small-angle scattering, of particles or pores, not of atoms. "
            "A G(r) with Qmax of at least 8 Å⁻¹ is needed."
        )
    if seen is None:
        _without_spectrum(stated, header, notes)
        return
    if abs(stated - seen) <= AGREES * seen:
        return
    if any(abs(stated / seen - ratio) <= SAME * ratio for ratio in (_WRONG_GUESSES if unit_guessed else _WRONG_LENGTHS)) and 8.0 <= stated <= 50.0:
        raise PdfFileError(
            f"{path}: the header's Qmax is {stated:g} Å⁻¹, but the spectrum of G(r) ends at {seen:.1f} Å⁻¹, so r is not in Å (nor in nm or pm). "
            "Export r in Å, or correct Qmax in the header."
        )
    factor, words = next(((f, w) for f, w in _UNITS if abs(stated * f - seen) <= SAME * seen), (0.0, ""))
    if seen < stated and not factor and stated <= USUAL[1]:
        notes.append(
            f"The header's qmax is {stated:g}, but nothing of the curve's spectrum stands out beyond {seen:.1f} Å⁻¹; the header was followed."
        )
        return
    if factor:
        header["qmax"] = stated * factor
        words = f"{words}, so {stated * factor:g} Å⁻¹"
        qmin = header.get("qmin")
        if isinstance(qmin, float) and qmin > QMIN_DOUBTED and factor < 1.0:
            header["qmin"] = qmin * factor
            words += f", and qmin {qmin:g} likewise"
    else:
        header["qmax"] = round(seen, 1)
        words = f"{header['qmax']:g} Å⁻¹ was used"
    notes.append(f"The header's qmax {stated:g} does not fit the curve, whose spectrum ends at {seen:.1f} Å⁻¹; {words}.")


def _end_of_spectrum(curve: PdfCurve, stated: float) -> float | None:
    """Where the curve's spectrum ends; where that is not as stated, but as stated from the shortest bonds on, noise below them has no say."""
    seen = spectral_qmax(curve)
    bonded = curve.r >= BONDS
    if seen is None or abs(stated - seen) <= AGREES * seen or bonded.sum() < MIN_POINTS:
        return seen
    above = spectral_qmax(PdfCurve(curve.r[bonded], curve.g[bonded]))
    return above if above is not None and abs(stated - above) <= AGREES * above else seen


def _without_spectrum(stated: float, header: dict[str, float | str], notes: list[str]) -> None:
    """Where the curve shows no end of its spectrum the number alone can be checked."""
    if USUAL[0] <= stated <= USUAL[1]:
        return
    if USUAL[1] < stated <= 500.0:
        header["qmax"] = stated / 10.0
        notes.append(f"The header's qmax {stated:g} is impossible in Å⁻¹; it was taken as nm⁻¹, so {stated / 10.0:g} Å⁻¹.")
        return
    del header["qmax"]
    notes.append(f"The header's qmax = {stated:g} lies outside {USUAL[0]:g} to {USUAL[1]:g} Å⁻¹ and was not used.")


def _settle_qmin(curve: PdfCurve, header: dict[str, float | str], notes: list[str]) -> None:
    qmin, qmax = header.get("qmin"), header.get("qmax")
    if not isinstance(qmin, float):
        return
    if isinstance(qmax, float) and qmin >= qmax:
        notes.append(f"The header's qmin {qmin:g} is not below its qmax {qmax:g}; qmin was not used.")
    elif qmin > LARGEST_QMIN:
        notes.append(f"The header's qmin = {qmin:g} lies outside 0 to {LARGEST_QMIN:g} Å⁻¹ and was not used.")
    elif qmin > QMIN_DOUBTED and (share := power_below(curve, 0.95 * qmin)) > POWER_BELOW:
        notes.append(f"The header's qmin {qmin:g} does not fit the curve, which has {share:.0%} of its spectrum's power below it; it was not used.")
    else:
        return
    del header["qmin"]
