import numpy as np
import pytest
from scipy.spatial.distance import pdist

from deepstruc_hpc.core.errors import OutputError, StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.structure_files import read_structure, write_cif, write_xyz

RUTILE_LIKE = Structure(("Ti", "O", "O", "Ti"), np.array([[0, 0, 0], [1.9, 0.3, -0.2], [-1.9, 0.1, 0.4], [3.1, 2.2, 1.0]]), "rutile", 'a "small" one')


def test_xyz_gives_back_what_was_written(tmp_path):
    write_xyz(RUTILE_LIKE, tmp_path / "a.xyz", "Rw 0.1\nsecond line")
    back = read_structure(tmp_path / "a.xyz")
    assert back.symbols == RUTILE_LIKE.symbols
    assert (back.structure_type, back.label) == ("rutile", "a 'small' one")
    np.testing.assert_allclose(back.positions, RUTILE_LIKE.positions, atol=1e-6)


def test_xyz_is_plain_xyz_for_others(tmp_path):
    write_xyz(RUTILE_LIKE, tmp_path / "a.xyz", "any comment")
    lines = (tmp_path / "a.xyz").read_text().splitlines()
    assert lines[0] == "4"
    assert len(lines) == 6
    assert lines[2].split()[0] == "Ti"
    assert [float(word) for word in lines[3].split()[1:]] == [1.9, 0.3, -0.2]


def test_cif_keeps_every_distance_and_no_images_come_near(tmp_path):
    write_cif(RUTILE_LIKE, tmp_path / "a.cif")
    back = read_structure(tmp_path / "a.cif")
    order = [0, 3, 1, 2]  # a CIF is read element by element
    assert back.symbols == tuple(RUTILE_LIKE.symbols[i] for i in order)
    np.testing.assert_allclose(pdist(back.positions), pdist(RUTILE_LIKE.positions[order]), atol=1e-5)
    from pymatgen.core import Structure as Cell

    cell = Cell.from_file(tmp_path / "a.cif")
    assert cell.composition.formula == "Ti2 O2"
    assert min(cell.lattice.abc) - np.ptp(RUTILE_LIKE.positions, axis=0).max() >= 20.0


def test_ase_reads_both(tmp_path):
    ase_io = pytest.importorskip("ase.io")
    write_xyz(RUTILE_LIKE, tmp_path / "a.xyz", "why")
    write_cif(RUTILE_LIKE, tmp_path / "a.cif")
    xyz, cif = ase_io.read(tmp_path / "a.xyz"), ase_io.read(tmp_path / "a.cif")
    assert xyz.info["structure_type"] == "rutile"
    assert not xyz.pbc.any()
    assert xyz.get_chemical_symbols() == cif.get_chemical_symbols() == list(RUTILE_LIKE.symbols)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1:"),
        ("atoms\n\nAu 0 0 0\n", "starts with its number of atoms"),
        ("3\n\nAu 0 0 0\n", "announces 3 atoms"),
        ("1\n\nAu 0 0\n", ":3:"),
        ("1\n\nAu 0 zero 0\n", ":3:"),
        ("1\n\n79 0 0 0\n", "not an element symbol"),
        ("1\n\nAu 0 nan 0\n", "NaN"),
    ],
)
def test_broken_xyz_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "a.xyz").write_text(text)
    with pytest.raises(StructureError, match=message):
        read_structure(tmp_path / "a.xyz")


def test_broken_cif_other_endings_and_missing_files_are_refused(tmp_path):
    (tmp_path / "a.cif").write_text("data_x\nloop_\n_atom_site_label\nAu\n")
    for name, message in (("a.cif", "not a CIF"), ("b.xyz", "no such file"), ("a.pdb", "ending")):
        with pytest.raises(StructureError, match=message):
            read_structure(tmp_path / name)


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path):
    for write in (write_xyz, write_cif):
        with pytest.raises(OutputError, match="cannot be written"):
            write(RUTILE_LIKE, tmp_path / "none" / "a.xyz")
