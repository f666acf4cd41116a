"""Expressions over the columns of a catalog, ``structure_type == "fcc" and n_atoms < 100``, as conditions of the query engine.

An expression is parsed, never run: each node of its syntax tree that stands in one of the tables below becomes a node of a DuckDB expression, with
columns and values as nodes of their own, and every other node is refused. So no part of the text reaches SQL.
"""

from __future__ import annotations

import ast
import difflib
import io
import operator
import tokenize
from collections.abc import Callable, Collection, Mapping
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from deepstruc_hpc.core.errors import ConfigError

if TYPE_CHECKING:
    import duckdb

_EXAMPLE = """for example: structure_type == "fcc" and n_atoms < 100"""
_BOOLEAN_SIGNS = {"&": "and", "|": "or"}
"""Signs that bind like the words, as in pandas' queries."""

_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: _or_else(left != right, value=True),
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
}
"""Comparisons; a missing value differs from every other and fits no other comparison."""

_COMPUTED: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: _function("floor", left / right),
    ast.Mod: lambda left, right: left - right * _function("floor", left / right),
    ast.Pow: lambda left, right: _function("pow", left, right),
}

_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: lambda operand: ~_or_else(operand, value=False),
    ast.Invert: lambda operand: ~_or_else(operand, value=False),
    ast.USub: lambda operand: -operand,
    ast.UAdd: lambda operand: operand,
}


def condition(expression: str, columns: Collection[str]) -> tuple[duckdb.Expression, list[str]]:
    """The condition that an expression states, and the columns that it uses.

    Only comparisons, arithmetic, ``and or not in``, numbers, strings and lists are allowed; nothing in it can call code.

    Args:
        expression: the text.
        columns: names that it may use.

    Raises:
        ConfigError: not an expression, something that is not allowed, or a column that is not there.
    """
    try:
        tree = ast.parse(_one_line(expression), mode="eval")
        names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
        found = _Reader(expression).read(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as invalid:
        raise ConfigError(f"--where {expression}: not an expression ({getattr(invalid, 'msg', invalid)}); {_EXAMPLE}") from invalid
    for name in names:
        if name not in columns:
            raise ConfigError(f"--where {expression}: no column {name!r}.{_nearest(name, columns)} There are: {', '.join(columns)}.")
    if not names:
        raise ConfigError(f"--where {expression}: names no column; {_EXAMPLE}")
    return found, names


def fitting(relation: duckdb.DuckDBPyRelation, expression: str, condition_of_it: duckdb.Expression) -> duckdb.DuckDBPyRelation:
    """The rows for which an expression holds.

    Raises:
        ConfigError: the expression does not fit the columns' types or is not true or false of a row.
    """
    import duckdb

    try:
        kind = str(relation.select(condition_of_it).types[0])
    except duckdb.Error as failed:
        raise refused(expression, failed) from failed
    if kind != "BOOLEAN":
        raise ConfigError(f"--where {expression}: gives a value, not true or false, for each structure; {_EXAMPLE}")
    return relation.filter(condition_of_it)


def refused(expression: str, failed: Exception) -> ConfigError:
    """What to say of an expression that the engine cannot evaluate, such as one that compares text with a number."""
    reason = str(failed).strip().partition("\n")[0]
    return ConfigError(f"--where {expression}: cannot be evaluated ({reason}); {_EXAMPLE}")


def check_columns(wanted: Collection[str], columns: Collection[str]) -> list[str]:
    """The wanted columns.

    Raises:
        ConfigError: one is not there.
    """
    for name in wanted:
        if name not in columns:
            raise ConfigError(f"--columns {name}: no such column.{_nearest(name, columns)} There are: {', '.join(columns)}.")
    return list(wanted)


class _Reader:
    """Turns a syntax tree into an expression of the engine."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self, node: ast.expr) -> Any:
        from duckdb import ColumnExpression, ConstantExpression

        match node:
            case ast.Name(id=name):
                return ColumnExpression(name)
            case ast.Constant(value=str() | int() | float() as value):
                return ConstantExpression(value)
            case ast.BoolOp(op=op, values=values):
                return reduce(operator.and_ if isinstance(op, ast.And) else operator.or_, [self.read(value) for value in values])
            case ast.UnaryOp(op=op, operand=operand):
                return _UNARY[type(op)](self.read(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMPUTED:
                return _COMPUTED[type(op)](self.read(left), self.read(right))
            case ast.Compare(left=left, ops=signs, comparators=comparators):
                pairs = pairwise([left, *comparators])
                return reduce(operator.and_, [self._compared(one, sign, other) for sign, (one, other) in zip(signs, pairs, strict=True)])
            case _:
                raise self._not_allowed(node)

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
        if isinstance(op, ast.In | ast.NotIn) or isinstance(right, ast.List | ast.Tuple):
            if not isinstance(right, ast.List | ast.Tuple) or not isinstance(op, ast.In | ast.NotIn | ast.Eq | ast.NotEq):
                raise ConfigError(f"--where {self._text}: in needs a list of values, for example: structure_type in ['fcc', 'hcp']")
            return self._among(left, right.elts, negated=isinstance(op, ast.NotIn | ast.NotEq))
        if type(op) not in _COMPARED:
            raise self._not_allowed(op)
        return _COMPARED[type(op)](self.read(left), self.read(right))

    def _among(self, left: ast.expr, values: list[ast.expr], *, negated: bool) -> Any:
        from duckdb import ConstantExpression

        inside = self.read(left).isin(*(self.read(value) for value in values)) if values else ConstantExpression(value=False)
        return ~_or_else(inside, value=False) if negated else inside

    def _not_allowed(self, node: ast.AST) -> ConfigError:
        return ConfigError(
            f"--where {self._text}: {type(node).__name__} is not allowed, only columns, numbers, strings, comparisons and arithmetic; {_EXAMPLE}"
        )


def _function(name: str, *arguments: Any) -> Any:
    from duckdb import FunctionExpression

    return FunctionExpression(name, *arguments)


def _or_else(expression: Any, *, value: bool) -> Any:
    from duckdb import CoalesceOperator, ConstantExpression

    return CoalesceOperator(expression, ConstantExpression(value))


def _nearest(name: str, columns: Collection[str]) -> str:
    near = difflib.get_close_matches(name, columns, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _one_line(expression: str) -> str:
    """One line, with words for the signs of booleans."""
    text = expression.replace("\r", " ").replace("\n", " ").strip()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    words = ((tokenize.NAME, _BOOLEAN_SIGNS[token.string]) if token.string in _BOOLEAN_SIGNS else (token.type, token.string) for token in tokens)
    return tokenize.untokenize(words).strip()
