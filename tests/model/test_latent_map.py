"""Many structures are encoded as one is, and the map of a catalog is made once, is never another's, and comes along with the program."""

import json

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.resources import share_dir
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.model import generator, latent_map
from deepstruc_hpc.model.checkpoint import PRETRAINED_DIR, load_model
from deepstruc_hpc.model.generator import StructureModel
from tests.model.clusters import TINY, clusters, curve_of, tiny_info, tiny_network


@pytest.fixture(scope="module")
def model():
    return load_model("default")


@pytest.fixture(scope="module")
def catalog():
    return Catalog.open(share_dir("catalog") / "compact.zarr")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / latent_map.FOLDER


def tiny_model(seed=0):
    return StructureModel(tiny_network(seed), tiny_info())


def curves_of(catalog, numbers):
    return [PdfCurve(catalog.r, np.asarray(catalog.pdf[number], dtype=float), source="stored") for number in numbers]


def test_many_are_encoded_as_one_is(model, catalog, monkeypatch):
    """Fails if bonds or atoms of one structure reach another's, or if a batch that is full loses its last one."""
    monkeypatch.setattr(generator, "ENCODE_ATOMS", 500)
    numbers = np.linspace(0, len(catalog) - 1, 25).astype(int)
    structures, curves = catalog.structures(numbers), curves_of(catalog, numbers)
    assert sum(len(structure) for structure in structures) > 2000
    mean, std = model.encode_many(structures, curves, instrument=catalog.instrument)
    single = [model.encode(structure, curve, instrument=catalog.instrument) for structure, curve in zip(structures, curves, strict=True)]
    spread = mean.std(axis=0)  # of this model some 20; single precision adds 24 products of such numbers
    assert spread.min() > 0.1
    np.testing.assert_allclose(mean / spread, [one[0] / spread for one in single], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(std, [one[1] for one in single], rtol=1e-4, atol=1e-5)


def test_what_cannot_be_encoded_is_said_or_left_out():
    structures, _, _ = clusters()
    chosen = [structures[0], structures[7], structures[20]]
    curves = [curve_of(structure) for structure in chosen]
    curves[1] = PdfCurve(curves[1].r[:200], curves[1].g[:200], source="too short")
    model = tiny_model()
    with pytest.raises(DeepstrucError, match="too short"):
        model.encode_many(chosen, curves)
    mean, std = model.encode_many(chosen, curves, skip=True)
    assert np.isnan(mean).all(axis=1).tolist() == np.isnan(std).all(axis=1).tolist() == [False, True, False]
    np.testing.assert_allclose(mean[2], model.encode(chosen[2], curves[2])[0], rtol=1e-5, atol=1e-5)


def test_nothing_to_encode_gives_empty_arrays():
    mean, std = tiny_model().encode_many([], [])
    assert mean.shape == std.shape == (0, TINY.latent_dim)


def test_a_map_is_made_once(model, catalog, cache, monkeypatch):
    """The second call reads what the first has written, to the last digit."""
    first = latent_map.latent_map(model, catalog, most=40)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(latent_map, "make_map", lambda *_, **__: pytest.fail("made a second time"))
    again = latent_map.latent_map(model, catalog, most=40)
    assert tuple(again.columns) == latent_map.COLUMNS
    assert first.equals(again)
    assert len(again) == 40


def test_a_row_is_the_encoded_shape(model, catalog, cache):
    table = latent_map.latent_map(model, catalog, most=5)
    row = catalog.columns.reset_index(drop=True).index[catalog.columns["id"].astype(str) == table["catalog_id"].iloc[3]][0]
    mean, _ = model.encode(catalog[row], curves_of(catalog, [row])[0], instrument=catalog.instrument)
    np.testing.assert_allclose(table.iloc[3][["z1", "z2"]].to_numpy(dtype=float), mean[:2], rtol=1e-4, atol=1e-4)
    assert table["structure_type"].iloc[3] == catalog[row].structure_type


def test_another_model_gets_another_map(catalog, cache):
    """Fails if the key were the name of a model, or left the weights out."""
    one, other = tiny_model(0), tiny_model(1)
    assert one.weights_hash() == tiny_model(0).weights_hash() != other.weights_hash()
    tables = [latent_map.latent_map(model, catalog, most=4) for model in (one, other)]
    assert len(list(cache.iterdir())) == 2
    assert not np.allclose(tables[0]["z1"], tables[1]["z1"])


@pytest.mark.parametrize("damage", [b"", b"#{}\n", b"\xff\xfe", b"#{broken"])
def test_a_damaged_cache_is_made_anew(catalog, cache, damage):
    first = latent_map.latent_map(tiny_model(), catalog, most=4)
    path = next(cache.iterdir())
    whole = path.read_bytes()
    path.write_bytes(damage)
    assert latent_map.latent_map(tiny_model(), catalog, most=4).equals(first)
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(catalog, tmp_path, monkeypatch):
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path / "a-file"))
    assert len(latent_map.latent_map(tiny_model(), catalog, most=4)) > 0


def test_a_selection_is_even_and_keeps_both_ends():
    numbers = np.arange(10, 3510)
    chosen = latent_map.evenly_spread(numbers, 1000)
    assert len(chosen) == 1000
    assert (chosen[0], chosen[-1]) == (10, 3509)
    assert set(np.diff(chosen)) == {3, 4}
    assert latent_map.evenly_spread(numbers[:7], 1000).tolist() == numbers[:7].tolist()


def test_the_shipped_map_is_that_of_the_shipped_model_and_catalog(model, catalog):
    """Fails when the model or the compact catalog changed and nobody wrote the map anew: see ``ship_map``."""
    path = PRETRAINED_DIR / "default" / latent_map.SHIPPED
    head = latent_map.map_head(model, catalog)
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#")) == head, "run ship_map, see deepstruc_hpc.model.latent_map"
    assert path.stat().st_size < 100_000
    shipped = latent_map.read_map(path, head).set_index("catalog_id")
    assert len(shipped) == latent_map.MOST_SHAPES
    made = latent_map.make_map(model, catalog, most=1000).set_index("catalog_id")
    assert shipped.index.equals(made.index)
    np.testing.assert_allclose(shipped[["z1", "z2"]], made[["z1", "z2"]], rtol=1e-3, atol=1e-3)
