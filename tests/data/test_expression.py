"""Expressions select rows, name only columns, and can run nothing."""

import duckdb
import pandas as pd
import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data.expression import check_columns, condition, fitting, refused

FRAME = pd.DataFrame(
    {
        "structure_type": ["fcc", "hcp", "fcc", "sc"],
        "n_atoms": [13, 55, 147, 7],
        "shells": [2.0, float("nan"), 3.0, float("nan")],
        "r": [-3, -1, 1, 3],
    }
)
COLUMNS = list(FRAME.columns)


def matching(expression):
    """Rows of the frame for which an expression holds, as the engine says."""
    import pyarrow as pa

    with duckdb.connect() as connection:
        connection.register("given", pa.Table.from_pandas(FRAME.assign(row=range(len(FRAME)))))
        try:
            return [row for (row,) in fitting(connection.view("given"), expression, condition(expression, COLUMNS)[0]).select("row").fetchall()]
        except duckdb.Error as failed:
            raise refused(expression, failed) from failed


@pytest.mark.parametrize(
    "expression",
    [
        'structure_type == "fcc" and n_atoms < 100',
        "10 < n_atoms <= 55",
        "n_atoms >= 55 > shells or 7 == n_atoms != 8 < 9",
        'structure_type in ["hcp", "sc"]',
        'structure_type not in ("hcp", "sc")',
        'structure_type == ["hcp", "sc"]',
        'not structure_type == "fcc"',
        "n_atoms * 2 > 100 or shells == 2",
        '(structure_type != "fcc") & (n_atoms > 10)',
        'structure_type == "sc" | n_atoms > 100 & shells == 3',
        'structure_type == "a & b" or n_atoms == 7',
        "n_atoms % 2 == 1\n and n_atoms > -1",
        "r % 2 == 1 and r // 2 == -1",
        "r ** 2 > 4 and n_atoms / 2 > 3 and -r < 0",
        "shells > 1",
        "shells != 2",
        "not shells > 2",
        "~(shells > 2)",
        "shells not in [2, 5]",
        'structure_type < "g"',
        "n_atoms + r - 1 == 11 - 2",
    ],
)
def test_expressions_select_the_rows_that_pandas_selects(expression):
    """The expressions of version 0.1 were evaluated by pandas; a missing number is NaN there."""
    expected = FRAME.index[FRAME.eval(expression.replace("\n", " "), engine="python")].tolist()
    assert matching(expression) == expected
    assert 0 < len(expected) < len(FRAME) or expression.startswith("n_atoms %")


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
        "n_atoms ^ 2 > 1",
        "n_atoms is 13",
        "n_atoms in shells",
        "n_atoms < [1, 2]",
        "n_atoms in [[1], 2]",
        "n_atoms in (select 1)",
        "n_atoms > 1 /* x",
    ],
)
def test_nothing_that_could_run_code_is_accepted(expression):
    with pytest.raises(ConfigError, match="for example"):
        condition(expression, COLUMNS)


def test_no_text_of_an_expression_reaches_sql():
    """Quotes, semicolons and comments in a value are a value."""
    assert matching("""structure_type == "x' OR 1=1 --" or n_atoms == 7""") == [3]
    assert matching("""structure_type != "'); DROP TABLE given; --" and n_atoms == 7""") == [3]


def test_an_unknown_column_is_refused_with_the_nearest_and_all_names():
    with pytest.raises(ConfigError, match=r"n_atom'.*Did you mean 'n_atoms'.*structure_type"):
        condition("n_atom > 5", COLUMNS)
    with pytest.raises(ConfigError, match="shell"):
        check_columns(["shell"], COLUMNS)


@pytest.mark.parametrize(
    "expression", ["n_atoms + 1", '"fcc" < 3 or n_atoms', 'n_atoms == "a" + 1', "structure_type > 3", "structure_type", "n_atoms"]
)
def test_what_is_not_true_or_false_of_each_row_is_refused(expression):
    with pytest.raises(ConfigError, match="--where"):
        matching(expression)


def test_an_expression_without_a_column_is_refused():
    with pytest.raises(ConfigError, match="no column"):
        condition("1 < 2", COLUMNS)
