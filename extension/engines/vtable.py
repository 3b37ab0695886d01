"""osquery's virtual tables on SQLite: which constraints reach a table, and how its strings become SQL values.

Follows osquery/sql/virtual_table.cpp (xBestIndex, xFilter, xColumn), osquery/core/tables.cpp (columnDefinition) and
osquery/sql/dynamic_table_row.cpp, so that a query plans and answers here as it does there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import apsw

from extension.engines.sql_values import text_of
from tables.errors import TableError
from tables.schema import (
    BIGINT,
    BLOB,
    DOUBLE,
    INTEGER,
    OPTION_ADDITIONAL,
    OPTION_HIDDEN,
    OPTION_INDEX,
    OPTION_OPTIMIZED,
    OPTION_REQUIRED,
    TEXT,
    UNSIGNED_BIGINT,
    Column,
    WireRow,
)

SqlValue = Union[None, int, float, str]
Generate = Callable[[str], list[WireRow]]

_MAX_COST = 1_000_000.0
_ORDER_OPERATORS = frozenset({4, 8, 16, 32})
_EQUALS = 2
# C's strtoll with base 0: decimal, 0octal or 0xhex, anything may follow.
_NUMBER = re.compile(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
# More digits than any 64-bit number has in octal; Python refuses to convert thousands of them.
_MAX_DIGITS = 30
_DOUBLE = re.compile(r"\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|infinity|nan)", re.IGNORECASE)


def to_sql(text: Optional[str], sql_type: str) -> SqlValue:
    """The SQL value that osquery makes of a table's string; None (a missing key) is "" for text, NULL for a number."""
    if sql_type in (TEXT, BLOB):
        return (text or "").partition("\0")[0]
    if text is None:
        return None
    if sql_type == DOUBLE:
        return float(text) if _DOUBLE.fullmatch(text) else None
    match = _NUMBER.match(text)
    if not match:
        return None
    digits = match[2]
    if len(digits) > _MAX_DIGITS:
        return None
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10
    number = int(digits, base) * (-1 if match[1] == "-" else 1)
    if not -(1 << 63) <= number < 1 << 63:
        return None
    if sql_type == INTEGER:
        # sqlite3_result_int keeps the low 32 bits.
        return (number + (1 << 31)) % (1 << 32) - (1 << 31)
    return number if sql_type in (BIGINT, UNSIGNED_BIGINT) else None


def create_statement(name: str, columns: Sequence[Column], is_extension: bool) -> str:
    """The CREATE TABLE statement that osquery declares for a table with these columns."""
    keys = [column.name for column in columns if column.options & (OPTION_INDEX | OPTION_ADDITIONAL)]
    without_rowid = bool(keys) and not is_extension
    if keys and not any(column.options & OPTION_INDEX for column in columns):
        keys = [column.name for column in columns]
    parts = [f"`{column.name}` {column.type}{' HIDDEN' if column.options & OPTION_HIDDEN else ''}" for column in columns]
    if keys:
        parts.append("PRIMARY KEY (" + ", ".join(f"`{key}`" for key in keys) + ")")
    return f"CREATE TABLE {name} ({', '.join(parts)}){' WITHOUT ROWID' if without_rowid else ''}"


@dataclass
class _Plan:
    """What one xBestIndex decided: the terms that xFilter will be given values for, and the columns used."""

    terms: list[tuple[str, int, bool]]
    columns_used: list[str]
    bitset: int


class VirtualTable:
    """One table as apsw wants it; `generate` gets osquery's context JSON and returns rows of strings."""

    def __init__(self, name: str, columns: Sequence[Column], generate: Generate, is_extension: bool = False) -> None:
        self.name = name
        # --extensions_default_index: a plain column of an extension is treated as an index.
        self.columns = [
            column._replace(options=OPTION_INDEX) if is_extension and column.options == 0 else column for column in columns
        ]
        # The declared key comes from the options as registered, before that default is applied.
        self.statement = create_statement(name, columns, is_extension)
        self.generate = generate
        self.has_required = any(column.options & OPTION_REQUIRED for column in self.columns)
        self.by_name = sorted(self.columns)
        self.plans: dict[int, _Plan] = {}

    def attach(self, db: apsw.Connection) -> None:
        """Create the table in `db`'s temp schema, as osquery does."""
        # apsw's protocol also lists methods of writable tables, which a read-only module never needs.
        module: Any = self
        db.create_module(self.name, module, use_bestindex_object=True, read_only=True)
        db.execute(f"CREATE VIRTUAL TABLE temp.{self.name} USING {self.name}")

    def Create(self, *_: Any) -> Any:
        """apsw: declare the table."""
        return self.statement, self

    Connect = Create

    def BestIndexObject(self, info: apsw.IndexInfo) -> bool:
        """apsw: choose the constraints that are pushed down (xBestIndex)."""
        cost = _MAX_COST
        terms: list[tuple[str, int, bool]] = []
        has_required_term = False
        for number in range(info.nConstraint):
            index = info.get_aConstraint_iColumn(number)
            if not info.get_aConstraint_usable(number) or not 0 <= index < len(self.columns):
                continue
            column = self.columns[index]
            operator = info.get_aConstraint_op(number)
            if column.type == TEXT and operator in _ORDER_OPERATORS:
                cost += 10
                continue
            if not column.options & (OPTION_REQUIRED | OPTION_INDEX | OPTION_ADDITIONAL):
                continue
            has_required_term |= bool(column.options & OPTION_REQUIRED)
            cost = 1.0
            is_in = bool(column.options & OPTION_OPTIMIZED) and info.get_aConstraintUsage_in(number)
            if is_in:
                info.set_aConstraintUsage_in(number, True)
            terms.append((column.name, operator, is_in))
            info.set_aConstraintUsage_argvIndex(number, len(terms))
        used = [column for index, column in enumerate(self.columns) if min(index, 63) in info.colUsed]
        if any(column.options & OPTION_REQUIRED for column in used) and not has_required_term:
            cost = _MAX_COST
        info.idxNum = len(self.plans)
        info.estimatedCost = cost
        self.plans[info.idxNum] = _Plan(terms, [column.name for column in used], sum(1 << bit for bit in info.colUsed))
        return True

    def Open(self) -> _Cursor:
        """apsw: a new cursor."""
        return _Cursor(self)

    def Disconnect(self) -> None:
        """apsw: nothing to release."""

    Destroy = Disconnect

    def context(self, plan: _Plan, values: Iterable[Any]) -> str:
        """The JSON that core sends with a generate request for this plan and these argument values."""
        lists: dict[str, list[dict[str, object]]] = {column.name: [] for column in self.by_name}
        for (name, operator, is_in), value in zip(plan.terms, values):
            if is_in:
                lists[name] += [{"op": _EQUALS, "expr": text_of(item)} for item in sorted(value, key=str) if item is not None]
            elif value is not None and text_of(value):
                lists[name].append({"op": operator, "expr": text_of(value)})
        return json.dumps(
            {
                "constraints": [{"name": c.name, "list": lists[c.name], "affinity": c.type} for c in self.by_name],
                "colsUsed": plan.columns_used,
                "colsUsedBitset": plan.bitset,
            }
        )


class _Cursor:
    """apsw cursor over the rows of one generate call."""

    def __init__(self, table: VirtualTable) -> None:
        self.table = table
        self.rows: list[WireRow] = []
        self.position = 0

    def Filter(self, index: int, _: Optional[str], values: Sequence[Any]) -> None:
        """apsw: fetch the rows for these argument values (xFilter)."""
        plan = self.table.plans[index]
        required = {column.name for column in self.table.columns if column.options & OPTION_REQUIRED}
        if required and required.isdisjoint(name for name, _op, _in in plan.terms):
            raise apsw.ConstraintError(f"Table {self.table.name} was queried without a required column in the WHERE clause")
        try:
            self.rows = self.table.generate(self.table.context(plan, values))
        except TableError as error:
            raise apsw.SQLError(str(error)) from None
        self.position = 0

    def Eof(self) -> bool:
        """apsw: whether the rows are used up."""
        return self.position >= len(self.rows)

    def Next(self) -> None:
        """apsw: step to the next row."""
        self.position += 1

    def Rowid(self) -> int:
        """apsw: the row's number."""
        return self.position

    def Column(self, number: int) -> SqlValue:
        """apsw: one value of the current row."""
        if number < 0:
            return self.position
        column = self.table.columns[number]
        return to_sql(self.rows[self.position].get(column.name), column.type)

    def Close(self) -> None:
        """apsw: drop the rows."""
        self.rows = []
