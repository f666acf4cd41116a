"""Expressions select rows, name only columns, and can run nothing."""

import pandas as pd
import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data.expression import check_columns, matching, names_in

FRAME = pd.DataFrame({"structure_type": ["fcc", "hcp", "fcc", "sc"], "n_atoms": [13, 55, 147, 7], "shells": [2.0, float("nan"), 3.0, float("nan")]})
COLUMNS = list(FRAME.columns)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ('structure_type == "fcc" and n_atoms < 100', [0]),
        ("10 < n_atoms <= 55", [0, 1]),
        ('structure_type in ["hcp", "sc"]', [1, 3]),
        ('not structure_type == "fcc"', [1, 3]),
        ("n_atoms * 2 > 100 or shells == 2", [0, 1, 2]),
        ('(structure_type != "fcc") & (n_atoms > 10)', [1]),
        ("n_atoms % 2 == 1\n and n_atoms > -1", [0, 1, 2, 3]),
        ("shells > 1", [0, 2]),
    ],
)
def test_expressions_select_the_rows_that_they_say(expression, rows):
    assert set(names_in(expression, COLUMNS)) <= set(COLUMNS)
    assert FRAME.index[matching(FRAME, expression)].tolist() == rows


@pytest.mark.parametrize(
    "expression",
    [
        "@n_atoms > 1",
        "__import__('os').system('true')",
        "n_atoms.sum() > 1",
        "structure_type.str.len() > 2",
        "structure_type[0]",
        "(lambda: 1)()",
        "[n for n in n_atoms]",
        "n_atoms if n_atoms else shells",
        "(n_atoms := 3)",
        'f"{n_atoms}"',
        "n_atoms > 1; n_atoms",
        "b'x' == structure_type",
    ],
)
def test_nothing_that_could_run_code_is_accepted(expression):
    with pytest.raises(ConfigError, match="for example"):
        names_in(expression, COLUMNS)


def test_an_unknown_column_is_refused_with_the_nearest_and_all_names():
    with pytest.raises(ConfigError, match=r"n_atom'.*Did you mean 'n_atoms'.*structure_type"):
        names_in("n_atom > 5", COLUMNS)
    with pytest.raises(ConfigError, match="shell"):
        check_columns(["shell"], COLUMNS)


@pytest.mark.parametrize("expression", ["n_atoms + 1", '"fcc" < 3 or n_atoms', 'n_atoms == "a" + 1', "structure_type > 3"])
def test_what_is_not_true_or_false_of_each_row_is_refused(expression):
    names_in(expression, COLUMNS)
    with pytest.raises(ConfigError, match="--where"):
        matching(FRAME, expression)


def test_an_expression_without_a_column_is_refused():
    with pytest.raises(ConfigError, match="no column"):
        names_in("1 < 2", COLUMNS)
