"""Across the stages: what a shipped recipe builds, `solve` solves with that recipe's catalog."""

import numpy as np
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.resources import share_dir
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.catalog import CatalogSource
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.lattices import lattice_of

LIMIT = 24
"""Structures of a recipe that are built: its first shapes, of every family that comes early."""
RECIPES = sorted(path.stem for path in share_dir("catalog").glob("*.yaml"))


def test_every_shipped_recipe_is_tried():
    assert len(RECIPES) >= 14
    assert {"oxides", "alloys", "mixed", "monometallic", "stacking_faults"} <= set(RECIPES)


LONG = {"extended", "random_shapes", "large", "larger", "random_compounds"}
"""Recipes that take a minute to list their shapes."""


FIRST = 4
"""Of twenty metals or cations, which take a minute to list, the first four."""
MOST_ATOMS = 400
"""Larger structures are not listed: a crystal is cut from tens of thousands of atoms as it is from hundreds."""


def shortened(recipe):
    """The recipe with a list that is soon gone through: of every family, type and ordering there are structures all the same."""
    families = [line.model_dump() for line in recipe.families]
    for line in families:
        line["options"] |= {key: line["options"][key][:FIRST] for key in ("metals", "cations") if key in line["options"]}
    return recipe.updated(families=families, max_atoms=min(recipe.max_atoms, MOST_ATOMS))


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in RECIPES])
def test_a_structure_of_a_recipe_is_found_with_the_catalog_of_that_recipe(name, tmp_path):
    store = tmp_path / "catalog.zarr"
    build_catalog(shortened(load_recipe(name)), store, workers=0, limit=LIMIT, progress=False)
    catalog = Catalog.open(store)
    columns = catalog.columns.reset_index(drop=True)
    row = int(columns["n_atoms"].to_numpy().argmax())
    truth = CatalogSource(catalog).entry(row)
    structure = truth.structure
    r = np.arange(0.0, 25.0, 0.02)
    g = 0.6 * simulate_pdf(structure.symbols, structure.positions * 1.004, r, qmin=0.8, qmax=24.0, qdamp=0.03, uiso=0.006, delta2=1.0)
    g += 0.03 * np.sqrt(np.mean(g[r > 2.0] ** 2)) * np.random.default_rng(1).normal(size=len(r))
    counts = " ".join(f"{symbol}{structure.symbols.count(symbol)}" for symbol in structure.elements)
    head = f"composition = {counts}\nqmin = 0.8\nqmax = 24.0\nqdamp = 0.03\n#### start data\n#L r G\n"
    (tmp_path / "measured.gr").write_text(head + "\n".join(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True)) + "\n")
    found = solve(tmp_path / "measured.gr", tmp_path / "out", catalog=store, sources="catalog,alloys", local_shapes=60, workers=0).iloc[0]
    assert found["status"] == "ok", found["message"]
    kind = str(columns["structure_type"][row])
    named = {found["structure_type"], lattice_of(str(found["structure_type"]))}
    assert {kind, lattice_of(kind), structure.structure_type, truth.on_lattice} & named or "do not resolve" in found["message"], (
        kind,
        found["message"],
    )
    assert found["diameter"] == pytest.approx(1.004 * truth.diameter, rel=0.1)
