"""``crystals list``: a table, a JSON document, CIF files."""

import json

from deepstruc_hpc.cli.app import run


def test_the_table_names_the_crystals_of_a_formula(capsys):
    assert run(["crystals", "list", "--composition", "IrO2"]) == 0
    captured = capsys.readouterr()
    assert "rutile" in captured.out
    assert "Ir2O3" not in captured.out
    assert "crystals; lengths in Å" in captured.err


def test_json_and_exported_files_tell_the_same(capsys, tmp_path):
    assert run(["crystals", "list", "--elements", "Ce,O", "--composition", "CeO2", "--json", "--export", str(tmp_path / "cifs")]) == 0
    document = json.loads(capsys.readouterr().out)
    fluorite = next(row for row in document["crystals"] if row["prototype"] == "fluorite")
    assert (fluorite["formula"], fluorite["space_group"], fluorite["sites"]) == ("CeO2", 225, 12)
    assert len(list((tmp_path / "cifs").glob("*.cif"))) == len(document["crystals"])


def test_a_users_folder_is_listed_beside_them_and_a_broken_file_is_a_note(capsys, tmp_path):
    run(["crystals", "list", "--composition", "NaCl", "--export", str(tmp_path)])
    (tmp_path / "broken.cif").write_text("nothing")
    capsys.readouterr()
    assert run(["crystals", "list", "--composition", "NaCl", "--crystals", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "nacl_rock_salt" in captured.out
    assert "note: broken.cif" in captured.err


def test_no_element_and_an_unknown_one_are_one_line(capsys):
    assert run(["crystals", "list"]) == 2
    assert "--elements" in capsys.readouterr().err
    assert run(["crystals", "list", "--elements", "Zz"]) == 2
    assert "Zz" in capsys.readouterr().err
