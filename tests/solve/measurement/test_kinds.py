"""Kinds of damage that a reader cannot mend alone, each on three curves: the same particle of five is found at the same Rw."""

import numpy as np
import pytest

from deepstruc_hpc import read_pdf
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.ranking.curve_signs import tail_ratio
from deepstruc_hpc.solve.run.batch import solve
from tests.data.test_pdf_kinds import CURVES, EDGES, LONGEST, QMAX, R, curve, head, particle, rows, spike, widening

ELEMENTS = {"gold": ("Au",), "iron": ("Fe",), "ceria": ("Ce", "O")}
RADII = (5.6, 6.3, 7.0, 7.7)
"""Å; the curves are those of 7.0."""
KINDS = [
    # kind, name, text of a curve, how much larger than the whole curve's its Rw may be
    (5, "a slope", lambda g: head() + rows(R, g - 0.05 * R), 0.005),
    (5, "an offset", lambda g: head() + rows(R, g + 0.2), 0.01),
    (5, "upside down", lambda g: head() + rows(R, -g), 0.0),
    (5, "a spike at 0.8 Å", lambda g: head() + rows(R, spike(g, 0.8)), 0.0),
    (5, "a spike at 1.6 Å", lambda g: head() + rows(R, spike(g, 1.6)), 0.0),
    (5, "noise below 1.5 Å", lambda g: head() + rows(R, np.where(R < 1.5, 2 * g.max() * np.random.default_rng(0).normal(size=len(R)), g)), 0.0),
    (6, "half a step", lambda g: head() + rows(R + 0.01, np.interp(R + 0.01, R, g)), 0.01),
    (6, "a step that widens", lambda g: head() + widening(g), 0.01),
    (6, "edges of bins", lambda g: head() + rows(R - 0.01, g) + f"{R[-1] + 0.01:.9g}\n", 0.0),
    (7, "qmax in nm⁻¹", lambda g: head(qmax=240) + rows(R, g), 0.0),
    (7, "qmax 2π times too large", lambda g: head(qmax=151) + rows(R, g), 0.005),
    (7, "qmax as 1/d", lambda g: head(qmax=3.82) + rows(R, g), 0.005),
    (7, "qmax of nothing", lambda g: head(qmax=5.5) + rows(R, g), 0.02),
    (7, "qmin 0", lambda g: head(qmin=0) + rows(R, g), 0.0),
    (7, "qmin 0.3", lambda g: head(qmin=0.3) + rows(R, g), 0.0),
    (7, "qmin 8", lambda g: head(qmin=8) + rows(R, g), 0.0),
    (7, "r in nm without a word", lambda g: head() + rows(R / 10, g), 0.0),
    (10, "30,001 rows", lambda g: head() + rows(LONGEST, np.interp(LONGEST, R, g, right=0.0)), 0.005),
    (13, "B as U", lambda g: "Uiso = 0.4\n" + head() + rows(R, g), 0.0),
]


def candidates(name):
    """Spheres of four sizes of the true crystal, and one of another lattice at about the same bond length."""
    spheres = [particle(name, radius) for radius in RADII]
    other, scale = ("iron", 2.885 / 2.485) if name != "iron" else ("gold", 2.485 / 2.885)
    symbols, positions, _ = particle(other, 7.0)
    rival = Structure((ELEMENTS[name][0],) * len(symbols), positions * scale)
    return CandidateSet(tuple(Candidate(structure, "structures") for structure in (*(Structure(tuple(s), p) for s, p, _ in spheres), rival)))


def fitted(tmp_path, name, text, **settings):
    (tmp_path / "a.gr").write_text(text)
    measurement = describe(read_pdf(tmp_path / "a.gr"), SolveSettings(elements=ELEMENTS[name], qdamp=0.03, rmax=20.0, **settings))
    return measurement, fit(candidates(name), measurement)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return {name: fitted(tmp_path_factory.mktemp(name), name, head() + rows(R, curve(name)[0]))[1] for name in CURVES}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize(("write", "worse"), [row[2:] for row in KINDS], ids=[f"{kind}: {name}" for kind, name, *_ in KINDS])
def test_the_same_particle_is_found(tmp_path, whole, name, write, worse):
    _, found = fitted(tmp_path, name, write(curve(name)[0]))
    known = whole[name]
    assert int(np.argmin(known.rw)) == RADII.index(7.0)
    assert int(np.argmin(found.rw)) == RADII.index(7.0)
    best = int(np.argmin(found.rw))
    assert found.rw[best] <= known.rw[best] + worse + 2e-3
    assert found.zoom[best] == pytest.approx(known.zoom[best], abs=1e-3)
    assert np.sort(found.rw)[1] - found.rw[best] > 0.5 * (np.sort(known.rw)[1] - known.rw[best])


@pytest.mark.parametrize(
    ("name", "composition", "elements"),
    [
        ("gold", "Au144 S60 C480 H540", ("Au",)),
        ("gold", "Au144(SC8H9)60", ("Au",)),
        ("gold", "Au/Al2O3", ("Au", "Al", "O")),
        ("iron", "Fe C20", ("Fe", "C")),
        ("iron", "Fe/SiO2", ("Fe", "Si", "O")),
        ("ceria", "CeO2", ("Ce", "O")),
        ("ceria", "Ce1 O2 C18 H34", ("Ce", "O")),
    ],
)
def test_a_header_that_names_ligands_or_the_support_still_names_the_particle(tmp_path, whole, name, composition, elements):
    (tmp_path / "a.gr").write_text(head(more=f"composition = {composition}\n") + rows(R, curve(name)[0]))
    measurement = describe(read_pdf(tmp_path / "a.gr"), SolveSettings(qdamp=0.03, rmax=20.0))
    assert set(measurement.sample.elements) == set(elements)
    assert fit(candidates(name), measurement).rw == pytest.approx(whole[name].rw, abs=1e-9)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize(("slope", "offset"), [(-0.05, 0.0), (0.0, 0.6), (0.1, -0.5)])
def test_a_line_in_the_data_is_no_structure_beyond_the_particle(tmp_path, name, slope, offset):
    """Fails where a slope counts as order at the end of the curve, or as structure beyond a particle of 14 Å."""
    plain, _ = fitted(tmp_path, name, head() + rows(R, curve(name)[0]))
    tilted, _ = fitted(tmp_path, name, head() + rows(R, curve(name)[0] + offset + slope * R))
    assert tilted.order_at_end == pytest.approx(plain.order_at_end, abs=1e-3)
    assert tail_ratio(tilted.levelled, 13.0) == pytest.approx(tail_ratio(plain.levelled, 13.0), abs=1e-3)
    assert tail_ratio(tilted.levelled, 13.0) < 0.2 < tail_ratio(tilted.curve, 13.0)


@pytest.mark.parametrize("name", CURVES)
def test_rows_beyond_the_particle_cost_nothing(tmp_path, name):
    """30,001 rows to 300 Å: as many points are fitted as of the curve that ends at 30 Å, and so many count."""
    g = np.interp(LONGEST, R, curve(name)[0], right=0.0)
    found = []
    for last in (30001, 3001):
        (tmp_path / "a.gr").write_text(head() + rows(LONGEST[:last], g[:last]))
        measurement = describe(read_pdf(tmp_path / "a.gr"), SolveSettings(elements=ELEMENTS[name], qdamp=0.03))
        found.append((len(measurement.data), measurement.independent_points(), measurement.rmax))
    assert found[0] == found[1]


def test_electrons_see_fewer_independent_points_and_sizes_lie_closer(tmp_path, whole):
    """Qmax 12, Qdamp 0.1: what speaks against another size is less, and so the doubt is larger."""
    from deepstruc_hpc.physics.simulate import simulate_pdf

    symbols, positions, _ = particle("gold")
    g = simulate_pdf(symbols, positions, R, qmin=0.8, qmax=12.0, qdamp=0.1, uiso=0.007)
    (tmp_path / "a.gr").write_text(head(qmax=12, more="qdamp = 0.1\n") + rows(R, g))
    electrons = describe(read_pdf(tmp_path / "a.gr"), SolveSettings(elements=("Au",), rmax=20.0))
    found = fit(candidates("gold"), electrons)
    assert (electrons.instrument.qmax, electrons.instrument.qdamp) == (12.0, 0.1)
    assert int(np.argmin(found.rw)) == RADII.index(7.0)
    assert electrons.independent_points() < 0.55 * (18.0 * (QMAX - 1.2) / np.pi)
    sizes = slice(0, len(RADII))
    assert np.sort(found.rw[sizes])[1] < np.sort(whole["gold"].rw[sizes])[1]


def test_edges_that_widen_are_read_at_their_centres(tmp_path):
    middle = 0.5 * (EDGES[1:] + EDGES[:-1])
    text = "".join(f"{x:.9g} {y:.9g}\n" for x, y in zip(EDGES[:-1], np.interp(middle, R, curve("gold")[0]), strict=True))
    (tmp_path / "a.gr").write_text(f"{head()}{text}{EDGES[-1]:.9g}\n")
    assert read_pdf(tmp_path / "a.gr").r == pytest.approx(middle)


def test_a_refusal_says_that_the_unit_of_r_was_guessed(measured, shapes_store, tmp_path):
    """r over 2π without a header looks like nm; the bonds are then 59 % too long, and the reader of the message learns why."""
    lines = (measured / "fcc.gr").read_text().splitlines()
    table = np.array([[float(word) for word in line.split()[:2]] for line in lines if line[:1].isdigit()])
    (tmp_path / "a.gr").write_text("".join(f"{r / 2 / np.pi:.8g} {g:.8g}\n" for r, g in table))
    frame = solve(tmp_path / "a.gr", tmp_path / "out", catalog=shapes_store, sources="catalog", elements="Pt", workers=0)
    assert frame["status"].tolist() == ["refused"]
    assert "r is in nanometres" in frame["message"][0] or "r is in nm" in frame["message"][0]
