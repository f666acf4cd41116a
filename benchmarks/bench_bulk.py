"""G(r) of bulk nickel: this engine beside diffpy.pdffit2 (``pip install deepstruc_hpc[bench]``), in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_bulk.py

Nickel, fcc, a = 3.524 Å, Uiso 0.0055 Å², X-rays, Qmax 25 Å⁻¹, Qdamp 0.03 Å⁻¹, a step of 0.01 Å, compared from 1.5 Å on.

PDFfit2 makes Gaussian peaks in r with the factor 1/r and sums over its grid of r; ours sums over Q from 0. So the two agree to one or two percent.
Columns: milliseconds of a calculation from the crystal on (distances and tables included) and of one more with another U, as in a fit, each the best
of several; the ratio peer/ours of both (below 1 the peer is faster); the root-mean-square difference and the largest one as parts of ours (of the
root mean square and of max|G|) and where the largest lies; the scale that makes the peer's curve most like ours (1: the same absolute scale).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from deepstruc_hpc.physics.bulk import BulkCurve, bulk_distances, needed_reach
from deepstruc_hpc.physics.instrument import Instrument

A, UISO, QMAX, QDAMP, STEP, FIRST = 3.524, 0.0055, 25.0, 0.03, 0.01, 1.5
FCC = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def main() -> None:
    """Print the table, or why there is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="calculations of each; the best time counts")
    repeats = parser.parse_args().repeats
    if find_spec("diffpy.pdffit2") is None:
        print("skipped: diffpy.pdffit2 is not installed (pip install diffpy.pdffit2, it has wheels)")
        return
    print("| r up to, Å | delta2, Å² | ours: first, again, ms | PDFfit2: first, again, ms | PDFfit2/ours | rms | largest (at r, Å) | best scale |")
    print("|---|---|---|---|---|---|---|---|")
    for rmax in (20.0, 50.0, 100.0):
        for delta2 in (0.0, 1.5):
            print(row(rmax, delta2, repeats))


def row(rmax: float, delta2: float, repeats: int) -> str:
    """One line of the table."""
    r = FIRST + STEP * np.arange(round((rmax - FIRST) / STEP) + 1)
    mine, curve = timed(lambda: bulk(r), repeats)
    other, program = timed(lambda: pdffit2(rmax, delta2), repeats)
    values = iter(np.linspace(0.005, 0.006, 2 * repeats + 2))
    mine_again, _ = timed(lambda: curve(uiso=next(values), delta2=delta2), repeats)
    other_again, _ = timed(lambda: calculate(program, next(values)), repeats)
    calculate(program, UISO)
    ours, theirs = curve(uiso=UISO, delta2=delta2), np.interp(r, program.getR(), program.getpdf_fit())
    rms = np.linalg.norm(ours - theirs) / np.linalg.norm(ours)
    place = int(np.abs(ours - theirs).argmax())
    largest = abs(ours - theirs)[place] / np.abs(ours).max()
    scale = float(ours @ theirs) / float(theirs @ theirs)
    return (
        f"| {rmax:g} | {delta2:g} | {1e3 * mine:.1f}, {1e3 * mine_again:.1f} | {1e3 * other:.1f}, {1e3 * other_again:.1f} | "
        f"{other / mine:.2f}, {other_again / mine_again:.2f} | {100 * rms:.2f} % | {100 * largest:.2f} % ({r[place]:.2f}) | {scale:.4f} |"
    )


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Seconds of the fastest of several calls after a first one, and what it gives."""
    result, best = work(), float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best, result


def bulk(r: Any) -> BulkCurve:
    """Our distances and tables, with the curve calculated once."""
    distances = bulk_distances(A * np.eye(3), FCC, [[("Ni", 1.0)]] * len(FCC), needed_reach(float(r[-1])))
    curve = BulkCurve(distances, r, Instrument(qmin=0.0, qmax=QMAX, qdamp=QDAMP))
    curve(uiso=UISO)
    return curve


def pdffit2(rmax: float, delta2: float) -> Any:
    """The peer with the crystal, and its curve calculated once."""
    from diffpy.pdffit2 import PdfFit, redirect_stdout
    from diffpy.structure import Atom, Lattice, Structure

    redirect_stdout(io.StringIO())
    atoms = [Atom("Ni", xyz=place, Uisoequiv=UISO) for place in FCC]
    with contextlib.redirect_stdout(io.StringIO()):
        program = PdfFit()
        program.add_structure(Structure(atoms, lattice=Lattice(A, A, A, 90, 90, 90)))
        program.alloc("X", QMAX, QDAMP, STEP, rmax, round(rmax / STEP))  # from 0 on: it cuts its sum at the ends of the grid
        program.setvar("delta2", delta2)
        program.calc()
    return program


def calculate(program: Any, uiso: float) -> None:
    """The peer once more, with another U for all atoms."""
    for atom in range(1, len(FCC) + 1):
        for axis in (1, 2, 3):
            program.setvar(f"u{axis}{axis}({atom})", uiso)
    program.calc()


if __name__ == "__main__":
    main()
