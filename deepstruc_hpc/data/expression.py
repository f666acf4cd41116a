"""Expressions over the columns of a catalog, ``structure_type == "fcc" and n_atoms < 100``: checked first, then evaluated by pandas."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection
from typing import TYPE_CHECKING

from deepstruc_hpc.core.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

_ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple),
    *(ast.And, ast.Or, ast.Not, ast.Invert, ast.BitAnd, ast.BitOr, ast.USub, ast.UAdd),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
)
_EXAMPLE = """for example: structure_type == "fcc" and n_atoms < 100"""


def names_in(expression: str, columns: Collection[str]) -> list[str]:
    """The columns that an expression uses.

    Only comparisons, arithmetic, ``and or not in``, numbers, strings and lists are allowed; nothing in it can call code.

    Raises:
        ConfigError: not an expression, something that is not allowed, or a column that is not there.
    """
    try:
        tree = ast.parse(_one_line(expression), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as invalid:
        raise ConfigError(f"--where {expression}: not an expression ({getattr(invalid, 'msg', invalid)}); {_EXAMPLE}") from invalid
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | bool)):
            raise ConfigError(
                f"--where {expression}: {type(node).__name__} is not allowed, only columns, numbers, strings, comparisons and arithmetic; {_EXAMPLE}"
            )
    names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    for name in names:
        if name not in columns:
            raise ConfigError(f"--where {expression}: no column {name!r}.{_nearest(name, columns)} There are: {', '.join(columns)}.")
    if not names:
        raise ConfigError(f"--where {expression}: names no column; {_EXAMPLE}")
    return names


def matching(frame: pd.DataFrame, expression: str) -> pd.Series[bool]:
    """Which rows of a table an expression holds for.

    Raises:
        ConfigError: the expression does not fit the columns' types or is not true or false of a row.
    """
    import pandas as pd

    try:
        result = frame.eval(_one_line(expression), engine="python")
    except Exception as failed:
        raise ConfigError(f"--where {expression}: cannot be evaluated ({type(failed).__name__}: {failed}); {_EXAMPLE}") from failed
    if not isinstance(result, pd.Series) or not pd.api.types.is_bool_dtype(result):
        raise ConfigError(f"--where {expression}: gives a value, not true or false, for each structure; {_EXAMPLE}")
    return result.fillna(value=False).astype(bool)


def check_columns(wanted: Collection[str], columns: Collection[str]) -> list[str]:
    """The wanted columns.

    Raises:
        ConfigError: one is not there.
    """
    for name in wanted:
        if name not in columns:
            raise ConfigError(f"--columns {name}: no such column.{_nearest(name, columns)} There are: {', '.join(columns)}.")
    return list(wanted)


def _nearest(name: str, columns: Collection[str]) -> str:
    near = difflib.get_close_matches(name, columns, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _one_line(expression: str) -> str:
    """One line: a second line would be a second expression to pandas."""
    return expression.replace("\r", " ").replace("\n", " ").strip()
