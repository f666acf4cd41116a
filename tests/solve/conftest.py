"""A small list of shapes, curves of structures that it holds, and a way to write them as files."""

import numpy as np
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet

RECIPE = """
name: solve-tests
elements: [Au]
min_atoms: 13
max_atoms: 110
families:
  - icosahedral
  - {family: decahedral, limit: 5}
  - {family: fcc, limit: 6}
  - {family: hcp, limit: 5}
  - {family: octahedral, options: {truncated: true}}
pdf: {qmin: 0.7, qmax: 25.0, qdamp: 0.04, uiso: 0.0038, delta2: 2.0, rmin: 2.0, rmax: 20.0, rstep: 0.05}
"""
CONDITIONS = {"qmin": 0.8, "qmax": 22.0, "qdamp": 0.03}


@pytest.fixture(scope="session")
def shapes_store(tmp_path_factory):
    """About twenty shapes of gold."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "recipe.yaml").write_text(RECIPE)
    build_catalog(load_recipe(folder / "recipe.yaml"), folder / "shapes.zarr", workers=0, progress=False)
    return str(folder / "shapes.zarr")


@pytest.fixture(scope="session")
def shape_of(shapes_store):
    """A structure of the list by type, the largest of its kind, as another metal with nearest neighbours at 2.77 Å."""

    def find(structure_type, symbol="Pt", distance=2.77):
        catalog = Catalog.open(shapes_store)
        rows = catalog.columns[catalog.columns["structure_type"] == structure_type].sort_values("n_atoms")
        row = rows.iloc[-1]
        structure = catalog[int(rows.index[-1])].scaled(distance / row["nn_distance"])
        return Structure.of_element(symbol, structure.positions, structure_type)

    return find


def write_gr(path, structure, *, composition="Pt", seed=0, noise=0.02, stop=22.0, qdamp=0.03):
    """A G(r) file with a PDFgetX3-like header and a little noise."""
    r = np.arange(0.0, stop, 0.02)
    g = 0.4 * simulate_pdf(structure.symbols, structure.positions, r, qmin=0.8, qmax=22.0, qdamp=qdamp, uiso=0.007, delta2=2.0)
    g = g + noise * g.std() * np.random.default_rng(seed).normal(size=len(r))
    head = ["[DEFAULT]", "version = pdfgetx3-2.1.2", "mode = xray", f"composition = {composition}", "qmin = 0.80", "qmax = 22.0"]
    head += ["#### start data", "#L r($\\AA$)  G($\\AA^{-2}$)"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*head, *(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True))]) + "\n")
    return path


@pytest.fixture(scope="session")
def measured(tmp_path_factory, shape_of):
    """A directory with three good files, one that is no PDF, and one of zeros."""
    folder = tmp_path_factory.mktemp("measured")
    for number, kind in enumerate(("icosahedral", "decahedral", "fcc")):
        write_gr(folder / f"{kind}.gr", shape_of(kind), seed=number)
    (folder / "broken.gr").write_text("this is not a table\nat all\n")
    return folder


def fitted_set(*rows, source="catalog", listed=True, belief=None):
    """A set of candidates with the fits that a test says: (structure type, number of atoms, Rw, complexity) each; all else of the fits is not known.

    Args:
        *rows: of one candidate each.
        source: of all.
        listed: of all.
        belief: of a generator, or None.
    """
    candidates = tuple(
        Candidate(Structure.of_element("Au", _grid(count), kind), source, listed=listed, complexity=complexity) for kind, count, _, complexity in rows
    )
    table = FitTable.empty(len(rows), n_points=1000, n_independent=150.0)
    table.put(np.arange(len(rows)), {"rw": np.array([rw for _, _, rw, _ in rows], dtype=float), "zoom": 1.0, "scale": 1.0})
    return CandidateSet(candidates, fits=table, belief=belief)


def _grid(count):
    """(count, 3) points of a cubic grid, Å: nobody fits these."""
    side = int(np.ceil(count ** (1 / 3)))
    return 2.88 * np.stack(np.meshgrid(*[np.arange(float(side))] * 3), axis=-1).reshape(-1, 3)[:count]
