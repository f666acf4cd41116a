"""Sizes and lattices from a library of bodies: on shapes that it does not hold, whatever the range of Q; and its file."""

from functools import lru_cache
from itertools import islice

import numpy as np
import pytest

from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.data.training_pdfs import MeasuredLike, MeasuredLikePdfs
from deepstruc_hpc.model.checkpoint import load_network, save_checkpoint
from deepstruc_hpc.model.size_checkpoint import SIZE_LIBRARY, SizeInfo, prior_hash, save_size_head, size_reader
from deepstruc_hpc.model.size_head import SizeHead, SizeHeadConfig, feature_count
from deepstruc_hpc.model.size_library import NODES, SizeLibrary
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.training.size_library import body_curves, compared, library_of
from deepstruc_hpc.training.size_shapes import NN_DISTANCE, shapes_between
from tests.model.clusters import tiny_info, tiny_network

GRID = 0.7 + 0.04 * np.arange(256)
GOOD = {
    "qmin": (0.8, 0.8),
    "qmax": (22.0, 22.0),
    "qdamp": (0.03, 0.03),
    "uiso": (0.005, 0.012),
    "delta2": (1.0, 3.0),
    "noise": (0.01, 0.01),
    "rmin": (1.8, 1.8),
    "rmax": (28.0, 28.0),
    "zoom": (0.995, 1.005),
    "qdamp_error": (0.0, 0.002),
    "strain": (0.0, 0.005),
    "expected": (1.0, 1.0),
}


def bodies(count, seed, fewest=40):
    return list(islice(shapes_between(fewest, 400, seed), count))


@lru_cache(maxsize=1)
def library():
    found = bodies(2500, 1)
    lattices = np.array([lattice_of(one.structure_type) for one in found])
    return library_of(compared(body_curves(found, NN_DISTANCE)), np.array([len(one) for one in found]), lattices)


@lru_cache(maxsize=4)
def curves(**changes):
    """Thirty shapes that the library does not hold, of 70 to 300 atoms."""
    found = [one for one in bodies(80, 2) if 70 <= len(one) <= 300][:30]
    pdfs = MeasuredLikePdfs.of(
        found, np.full(len(found), NN_DISTANCE), [str(row) for row in range(len(found))], GRID, MeasuredLike(**{**GOOD, **changes})
    )
    return found, pdfs(np.arange(len(found)), np.random.default_rng(0))


def evidence(pdf, lattice, log_n, of=None):
    known = pdf[1] > 0
    return (of or library()).log_evidence(GRID[known], pdf[0][known].astype(float), lattice, log_n)


def test_unseen_shapes_have_their_sizes():
    found, pdfs = curves()
    errors = []
    for structure, pdf in zip(found, pdfs, strict=True):
        mean, std = SizeLibrary.moments(evidence(pdf, lattice_of(structure.structure_type), 5.0))
        errors.append(mean - np.log(len(structure)))
        assert abs(errors[-1]) < 0.2 + 4 * std
    assert np.mean(np.abs(errors) < np.log(1.05)) > 0.7  # of 2,500 bodies; the shipped library has 35,000


def test_unseen_shapes_have_their_lattices():
    found, pdfs = curves()
    right = 0
    for structure, pdf in zip(found[:15], pdfs, strict=False):
        total = {lattice: np.logaddexp.reduce(evidence(pdf, lattice, np.log(len(structure)))) for lattice in library().curves}
        right += max(total, key=lambda lattice: total[lattice]) == lattice_of(structure.structure_type)
    assert right >= 14


@pytest.mark.law
def test_sizes_do_not_depend_on_the_range_of_q():
    """The same particles with Qmin 0.5 and Qmax 18, and with 1.4 and 27: signal outside the limits that are compared counts nothing."""
    found, narrow = curves(qmin=(0.5, 0.5), qmax=(18.0, 18.0), noise=(0.0, 0.0))
    _, wide = curves(qmin=(1.4, 1.4), qmax=(27.0, 27.0), noise=(0.0, 0.0))
    apart = [
        SizeLibrary.moments(evidence(one, lattice_of(structure.structure_type), 5.0))[0]
        - SizeLibrary.moments(evidence(other, lattice_of(structure.structure_type), 5.0))[0]
        for structure, one, other in zip(found, narrow, wide, strict=True)
    ]
    assert np.median(np.abs(apart)) < 0.02


@pytest.mark.law
def test_moments_of_a_normal_distribution():
    mean, std = SizeLibrary.moments(-0.5 * ((NODES - 5.12) / 0.15) ** 2)
    assert mean == pytest.approx(5.12, abs=1e-3)
    assert std == pytest.approx(0.15, rel=1e-2)


def test_a_library_comes_back_from_its_file(tmp_path):
    library().save(tmp_path / SIZE_LIBRARY)
    again = SizeLibrary.load(tmp_path / SIZE_LIBRARY)
    assert set(again.curves) == set(library().curves)
    found, pdfs = curves()
    for structure, pdf in list(zip(found, pdfs, strict=True))[:5]:
        lattice = lattice_of(structure.structure_type)
        before, after = (SizeLibrary.moments(evidence(pdf, lattice, 5.0, of)) for of in (library(), again))
        assert after[0] == pytest.approx(before[0], abs=0.2 * before[1])


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / SIZE_LIBRARY).write_bytes(b"no library")
    with pytest.raises(CheckpointError, match=r"size_library.*damaged"):
        SizeLibrary.load(tmp_path / SIZE_LIBRARY)


def test_a_head_whose_library_is_missing_is_refused(tmp_path):
    network = tiny_network()
    directory = save_checkpoint(tmp_path / "one", network, tiny_info())
    config = SizeHeadConfig(stop=8.0, hidden=16, layers=1, components=2, library=True)
    info = SizeInfo(head=config, prior_hash=prior_hash(network), fewest_atoms=13, most_atoms=60)
    save_size_head(directory, SizeHead(config, network.config.grid, feature_count(network)), info)
    with pytest.raises(CheckpointError, match=r"size_library.*not there"):
        size_reader(directory, load_network(directory)[0])
