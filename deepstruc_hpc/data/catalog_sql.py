"""SQL over a catalog, for reading alone.

DuckDB parses the statement; what it may hold is decided on the parsed tree. The connection that runs it sees the catalog and nothing else, in a
transaction for reading, so that what a check does not know of fails there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data.catalog_table import TABLE, CatalogTable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

READING_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
"""Query nodes of DuckDB's parser that only read; since 2.0 a WITH may hold an INSERT or a COPY, which are others."""

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
"""Table functions that compute from their arguments alone. Others read files, settings or the text of further statements."""

_EXAMPLE = 'for example: "select structure_type, count(*) as n from catalog where n_atoms < 100 group by all order by n desc"'


def answer(table: CatalogTable, statement: str, columns: Sequence[str]) -> pa.Table:
    """The rows that a SELECT gives.

    Args:
        table: of the catalog; ``catalog`` in SQL.
        statement: one SELECT.
        columns: those of the catalog.

    Raises:
        ConfigError: not one SELECT, one that would read or write anything else, or a mistake in it.
    """
    import duckdb

    def evaluated(connection: duckdb.DuckDBPyConnection) -> Any:
        check_statement(connection, statement)
        connection.execute("BEGIN TRANSACTION READ ONLY")
        return connection.sql(statement).to_arrow_table()

    try:
        return table.ask(list(columns), evaluated)
    except duckdb.Error as failed:
        reason = str(failed).strip().partition("\n\n")[0].replace("\n", " ")
        raise ConfigError(f"sql: {reason}. Columns: {', '.join(columns)}; {_EXAMPLE}") from failed


def check_statement(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Refuse everything that is not one SELECT over the catalog.

    Raises:
        ConfigError: saying what is not allowed.
        duckdb.Error: the statement is no SQL.
    """
    import duckdb

    found = connection.extract_statements(statement)
    if len(found) != 1:
        raise ConfigError(f"sql: {len(found)} statements, needed is one SELECT; {_EXAMPLE}")
    if found[0].type != duckdb.StatementType.SELECT:
        kind = str(found[0].type).rpartition(".")[2]
        raise ConfigError(f"sql: {kind} is not allowed: a catalog is only read, by one SELECT; {_EXAMPLE}")
    row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement]).fetchone()
    tree = json.loads(row[0]) if row else {"error": True, "error_message": "not understood"}
    if tree.get("error"):
        raise ConfigError(f"sql: {tree.get('error_message', 'not understood')}; {_EXAMPLE}")
    nodes = list(_nodes(tree))
    named = {str(entry.get("key", "")).lower() for node in nodes if "cte_map" in node for entry in node["cte_map"].get("map", [])}
    for node in nodes:
        _check_node(node, {"", TABLE, *named})


def _check_node(node: dict[str, Any], tables: set[str]) -> None:
    """Refuse a node of the parsed tree that does not read the catalog, or a table that the statement names itself."""
    kind = str(node.get("type", ""))
    if "cte_map" in node and kind not in READING_NODES:
        raise ConfigError(f"sql: {kind.partition('_')[0]} is not allowed: a catalog is only read, by one SELECT; {_EXAMPLE}")
    if kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name", ""))
        if name.lower() not in TABLE_FUNCTIONS:
            raise ConfigError(f"sql: the table function {name} is not allowed: only the table {TABLE} is read, no file and no setting; {_EXAMPLE}")
    if kind in ("BASE_TABLE", "SHOW_REF"):
        name = str(node.get("table_name", "")).strip('"')
        if node.get("catalog_name") or str(node.get("schema_name", "")) not in ("", "main") or name.lower() not in tables:
            raise ConfigError(f"sql: {name}: no such table, and no file is read. There is one table, {TABLE}; {_EXAMPLE}")
        if kind == "SHOW_REF" and not name and node.get("query") is None:
            raise ConfigError(f"sql: SHOW is not allowed. There is one table, {TABLE}; {_EXAMPLE}")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All objects of a parsed statement."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
