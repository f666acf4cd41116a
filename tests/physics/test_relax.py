import numpy as np
import pytest

torch = pytest.importorskip("torch")

from deepstruc_hpc.core.curve import PdfCurve  # noqa: E402
from deepstruc_hpc.core.errors import StructureError  # noqa: E402
from deepstruc_hpc.core.structure import Structure  # noqa: E402
from deepstruc_hpc.physics.fit import fit_candidates  # noqa: E402
from deepstruc_hpc.physics.histogram import pair_histograms  # noqa: E402
from deepstruc_hpc.physics.instrument import Instrument  # noqa: E402
from deepstruc_hpc.physics.relax import relax  # noqa: E402
from deepstruc_hpc.physics.torch_debye import DistanceGrid, distances, pair_list, spread  # noqa: E402
from tests.physics.clusters import INSTRUMENT, alloy, ball, gold, measured  # noqa: E402

pytestmark = pytest.mark.law
RANGE = {"rmin": 2.0, "rmax": 15.0}


def relaxed(structure, curve, **settings):
    row = fit_candidates([structure], curve, **RANGE, **INSTRUMENT).row(0)
    return relax(structure, row, curve, Instrument(**INSTRUMENT), **RANGE, **settings)


def aligned_error(a, b):
    """Root mean square distance of atoms in the same order after the best rotation."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    left, _, right = np.linalg.svd(a.T @ b)
    return np.sqrt(((a @ (left @ right) - b) ** 2).sum(axis=1).mean())


def test_pairs_of_a_batch_are_all_pairs_of_each_cluster():
    i, j, cluster = pair_list(torch.tensor([3, 1, 2]))
    assert list(zip(i.tolist(), j.tolist(), cluster.tolist(), strict=True)) == [(0, 1, 0), (0, 2, 0), (1, 2, 0), (4, 5, 2)]


def test_histogram_on_tensors_is_the_compiled_one():
    sizes = (10, 17)
    positions = [ball(n) for n in sizes]
    expected = pair_histograms(positions, [np.zeros(n, dtype=np.int64) for n in sizes], 1, 0.01, 1500)[:, 0]
    flat = torch.tensor(np.concatenate(positions))
    i, j, cluster = pair_list(torch.tensor(sizes))
    found = spread(distances(flat, i, j), cluster, rows=2, step=0.01, n_bins=1500)
    assert np.abs(found.numpy() - expected).max() < 1e-9


def test_gradient_by_positions_is_that_of_finite_differences():
    q = torch.linspace(0.8, 20.0, 60, dtype=torch.float64)
    grid = DistanceGrid(q, step=0.01, reach=12.0, delta2=1.0)
    i, j, _ = pair_list(torch.tensor([12]))
    target = torch.sin(3.0 * q)

    def cost(x):
        hist = spread(distances(x, i, j), torch.zeros_like(i), rows=1, step=grid.step, n_bins=grid.n_bins)
        return ((grid.fq(hist[None], torch.full((1, len(q)), 2 / 12), torch.tensor(0.006)) - target) ** 2).sum()

    start = torch.tensor(ball(12, jitter=0.1))
    x = start.clone().requires_grad_()
    cost(x).backward()
    for atom, axis in ((0, 0), (5, 1), (11, 2)):
        step = torch.zeros_like(start)
        step[atom, axis] = 1e-4
        numeric = (cost(start + step) - cost(start - step)) / 2e-4
        assert float(x.grad[atom, axis]) == pytest.approx(float(numeric), rel=1e-4, abs=1e-6)


def test_a_perfect_cluster_is_left_as_it_is():
    truth = gold(38)
    result = relaxed(truth, measured(truth))
    assert result.moved.max() < 1e-3
    clean = measured(truth)
    q = np.linspace(0.8, 25.0, 400)
    noise = np.random.default_rng(0).normal(size=400) @ np.sin(np.outer(q, clean.r))
    noise *= 0.05 * np.linalg.norm(clean.g) / np.linalg.norm(noise)
    moved = relaxed(truth, PdfCurve(clean.r, clean.g + noise)).moved
    assert np.sqrt((moved**2).mean()) < 0.05  # what 5 % of noise allows: 108 coordinates against 100 independent points


def test_displaced_atoms_come_nearer_to_where_they_belong():
    """0.1 Å of random displacements: fails when atoms are moved to fit without becoming right."""
    truth = gold(38)
    displaced = Structure.of_element("Au", truth.positions + np.random.default_rng(4).normal(size=(38, 3)) * 0.1)
    result = relaxed(displaced, measured(truth), restraint=1e-4)
    before, after = aligned_error(displaced.positions, truth.positions), aligned_error(result.structure.positions, truth.positions)
    assert after < 0.85 * before
    assert result.rw_after < 0.3 * result.rw_before


def test_restraint_and_least_distance_are_kept():
    structure = alloy(20)
    result = relaxed(structure, measured(gold(30)), restraint=10.0, max_iterations=15)
    assert result.moved.max() < 0.05
    distances_now = np.linalg.norm(result.structure.positions[:, None] - result.structure.positions[None], axis=2)[np.triu_indices(20, 1)]
    assert distances_now.min() > 0.8 * 2.88 * 0.9


def test_a_single_atom_cannot_be_relaxed():
    with pytest.raises(StructureError, match="two"):
        relax(gold(1), {"zoom": 1.0, "uiso": 0.01, "delta2": 0.0}, measured(gold(5)), Instrument(), **RANGE)
