"""A header's Qmin is often what a program writes when nobody sets it: the answer must not hang on it."""

import numpy as np
import pytest

from deepstruc_hpc.physics.debye import simulate_fq
from deepstruc_hpc.solve.run.batch import solve

STATED = (0.0, 0.1, 0.5, 0.8, 1.2, None)
TRUE_QMIN, QMAX = 0.8, 22.0


def write_curve(path, structure, qmin):
    """G(r) of F(Q) from 0.8 to 22 Å⁻¹: no small-angle signal; a little noise, the same for every header."""
    q, r = np.arange(TRUE_QMIN, QMAX, 0.01), np.arange(0.0, 22.0, 0.02)
    fq = simulate_fq(structure.symbols, structure.positions, q, uiso=0.007)
    g = 2 / np.pi * 0.01 * np.sin(np.outer(r, q)) @ fq * np.exp(-0.5 * (0.03 * r) ** 2)
    g = g + 0.02 * g.std() * np.random.default_rng(3).normal(size=len(r))
    stated = [] if qmin is None else [f"qmin = {qmin:g}"]
    head = ["mode = xray", "composition = Pt", *stated, f"qmax = {QMAX:g}", "#### start data", "#L r G"]
    path.write_text("\n".join([*head, *(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True))]) + "\n")


@pytest.mark.parametrize("kind", ["icosahedral", "decahedral", "fcc"])
def test_the_answer_does_not_hang_on_the_qmin_of_the_header(shape_of, shapes_store, tmp_path, kind):
    structure = shape_of(kind)
    for number, qmin in enumerate(STATED):
        write_curve(tmp_path / f"{number}.gr", structure, qmin)
    frame = solve(tmp_path, tmp_path / "out", catalog=shapes_store, sources="catalog", workers=0, qdamp=0.03)
    assert list(frame["status"]) == ["ok"] * len(STATED)
    assert set(frame["structure_type"]) == {kind}
    assert frame["n_atoms"].max() - frame["n_atoms"].min() <= 0.02 * len(structure)
    assert frame["rw"].max() - frame["rw"].min() <= 0.01, dict(zip(STATED, frame["rw"], strict=True))
