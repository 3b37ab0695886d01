"""What a table is: its row (a frozen dataclass, which is also its schema), its options, and the query it answers."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, TypeVar, Union

from tables.errors import BudgetExceeded
from tables.unseen import Unseen, heard

if TYPE_CHECKING:
    from tables.host import Host

TEXT = "TEXT"
INTEGER = "INTEGER"
BIGINT = "BIGINT"
UNSIGNED_BIGINT = "UNSIGNED BIGINT"
DOUBLE = "DOUBLE"
BLOB = "BLOB"
SQL_TYPES = (TEXT, INTEGER, BIGINT, UNSIGNED_BIGINT, DOUBLE, BLOB)

# osquery's ColumnOptions bitmask (osquery/core/sql/column.h).
OPTION_INDEX = 1
OPTION_REQUIRED = 2
OPTION_ADDITIONAL = 4
OPTION_OPTIMIZED = 8
OPTION_HIDDEN = 16

# osquery's ConstraintOperator (osquery/core/tables.h); SQLite's own codes (LIMIT 73 …) arrive as well.
EQUALS = 2
LIKE = 65
_SIGNS = {EQUALS: "=", 4: ">", 8: "<=", 16: "<", 32: ">=", LIKE: "LIKE", 66: "GLOB", 68: "!=", 73: "LIMIT", 74: "OFFSET"}
_MAX_QUESTION = 200
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")

# A result line over 1 MiB is dropped by osquery's TLS logger, and a row may carry several such texts.
MAX_TEXT = 32 * 1024
DEFAULT_BUDGET_SECONDS = 20.0
DEFAULT_MAX_ROWS = 100_000

Scalar = Union[str, int, float, bool, bytes, None]
WireRow = dict[str, str]
# C0 controls, DEL, C1, line separators and the bidirectional overrides can all rewrite what a reader sees.
_UNSAFE = {
    code: (f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}")
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
}


def clean_text(value: Union[str, bytes]) -> str:
    r"""Return `value` as valid UTF-8 text without NUL, control or direction-changing characters, at most MAX_TEXT long.

    Bytes that are no UTF-8 and unsafe characters become `\xNN` or `\uNNNN`, as osquery's own result log writes them.
    """
    if isinstance(value, str) and value.isascii() and value.isprintable() and len(value) <= MAX_TEXT:
        return value
    if isinstance(value, bytes):
        text = value[: MAX_TEXT + 1].decode("utf-8", "backslashreplace")
    else:
        text = value[: MAX_TEXT + 1]
        if not text.isascii():
            try:
                raw = text.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                raw = text.encode("utf-8", "backslashreplace")
            text = raw.decode("utf-8", "backslashreplace")
    if not (text.isascii() and text.isprintable()):
        text = text.translate(_UNSAFE)
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    return text


def whole_number(text: str) -> Optional[int]:
    """The number that `text` writes in plain digits; None for any other spelling, and for more digits than SQLite's have."""
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else None


class Words(NamedTuple):
    """The words that a column of reasons can hold: those of which each alone deserves a detection, and those that explain."""

    alerting: tuple[str, ...]
    explaining: tuple[str, ...] = ()

    @classmethod
    def listed(cls, alerting: str, explaining: str = "") -> Words:
        """Words separated by blanks."""
        return cls(tuple(alerting.split()), tuple(explaining.split()))


class Column(NamedTuple):
    """One column as osquery sees it: `options` is the ColumnOptions bitmask sent on the wire."""

    name: str
    type: str
    description: str
    options: int
    on_demand: bool = False
    words: Optional[Callable[[], Words]] = None


def column(
    sql_type: str,
    description: str,
    *,
    words: Union[Words, Callable[[], Words], None] = None,
    index: bool = False,
    required: bool = False,
    additional: bool = False,
    hidden: bool = False,
    on_demand: bool = False,
) -> Any:
    """Declare one field of a Row: its SQL type, its meaning, and how osquery may push constraints on it down.

    Every column is OPTIMIZED: an IN list on an index column then comes as one call instead of one call per value,
    and a plain column keeps a non-zero option, without which osquery would turn it into an index (contract 1.3).
    `words` are what a column of reasons holds, and end its description; a function where a file of indicators has them.
    A column `on_demand` is left empty unless the query reads it (`QueryContext.uses`).
    """
    if sql_type not in SQL_TYPES:
        raise ValueError(f"unknown SQL type {sql_type!r}")
    options = OPTION_OPTIMIZED
    options |= OPTION_INDEX * index | OPTION_REQUIRED * required | OPTION_ADDITIONAL * additional | OPTION_HIDDEN * hidden
    if isinstance(words, Words):
        listed = words
        description = f"{description}: {', '.join((*listed.alerting, *listed.explaining))}"
        words = lambda: listed  # noqa: E731
    metadata = {"type": sql_type, "description": description, "options": options, "words": words, "on_demand": on_demand}
    return dataclasses.field(default=None, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Row:
    """Base of all rows; a subclass's fields, made by `column`, are the table's columns in order."""

    @classmethod
    @functools.cache
    def columns(cls) -> tuple[Column, ...]:
        """The columns of this row type, in the order in which they are declared."""
        return tuple(Column(field.name, **field.metadata) for field in dataclasses.fields(cls))

    def to_wire(self) -> WireRow:
        """The row as osquery's wire wants it: every value a clean string; None and "" are left out.

        Of what is left out osquery makes "" for a text and NULL for a number (osquery/sql/dynamic_table_row.cpp).
        """
        wire = {}
        values = self.__dict__
        # A dataclass keeps its fields by name; dataclasses.fields would choose them anew for each row.
        for name in self.__dataclass_fields__:
            value = values[name]
            if value is not None and (text := wire_value(value)):
                wire[name] = text
        return wire


def wire_value(value: Scalar) -> str:
    """One value as the string osquery reads back: 1/0 for booleans, decimal numbers, clean text, "" for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        # Unsigned 64-bit numbers (inodes) are carried in two's complement: osquery reads signed ones only.
        return str(value - (1 << 64) if value > 0x7FFF_FFFF_FFFF_FFFF else value)
    if isinstance(value, float):
        return repr(value)
    return clean_text(value)


class Constraint(NamedTuple):
    """One pushed-down term: SQLite's operator code and the value as text."""

    op: int
    expr: str


class QueryContext(Unseen):
    """What a query asks of a table: pushed-down constraints, used columns, the time it may take; and what the answer lacks.

    A table may use it to do less work; it must never use it to return fewer rows than match. What it could not see, and
    which bound cut it short, it says here (`could_not_see`, `truncate`) as soon as it knows; `minehunt_status` shows it.
    """

    def __init__(
        self,
        constraints: Optional[Mapping[str, list[Constraint]]] = None,
        columns_used: Optional[frozenset[str]] = None,
        budget_seconds: float = DEFAULT_BUDGET_SECONDS,
    ) -> None:
        super().__init__()
        self.constraints = dict(constraints or {})
        self.columns_used = columns_used
        self.deadline = time.monotonic() + budget_seconds
        self.budget_seconds = budget_seconds

    @classmethod
    def from_wire(cls, context: Optional[str], budget_seconds: float = DEFAULT_BUDGET_SECONDS) -> QueryContext:
        """Read the JSON that osquery sends with a generate request; what it does not hold counts as "no constraint"."""
        try:
            decoded = json.loads(context) if context else {}
        except (ValueError, RecursionError):
            decoded = {}
        if not isinstance(decoded, dict):
            decoded = {}
        constraints: dict[str, list[Constraint]] = {}
        try:
            for entry in decoded.get("constraints") or []:
                # Older cores send the operator as a string.
                terms = [Constraint(int(term["op"]), str(term["expr"])) for term in entry.get("list") or []]
                if terms:
                    constraints[str(entry["name"])] = terms
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            constraints = {}
        used = decoded.get("colsUsed")
        return cls(constraints, frozenset(map(str, used)) if isinstance(used, list) else None, budget_seconds)

    def equals(self, name: str) -> Optional[list[str]]:
        """The values that column `name` is compared to with `=` or IN, or None when it is not so constrained."""
        values = [term.expr for term in self.constraints.get(name, ()) if term.op == EQUALS]
        return values or None

    def equal_integers(self, name: str) -> Optional[list[int]]:
        """Like `equals`, for whole numbers; None as soon as one value is none (SQLite then filters by itself)."""
        numbers = [whole_number(text) for text in self.equals(name) or ()]
        values = [number for number in numbers if number is not None]
        return values if values and len(values) == len(numbers) else None

    @property
    def question(self) -> str:
        """The constraints as a reader wants them, "" without any: `since = -2 days, root = /`; at most 200 characters."""
        terms = (
            f"{name} {_SIGNS.get(t.op, f'[{t.op}]')} {t.expr}" for name, each in sorted(self.constraints.items()) for t in each
        )
        return clean_text(", ".join(terms)[:_MAX_QUESTION])

    def uses(self, *names: str) -> bool:
        """Whether the query reads any of these columns, which are declared `on_demand` (True when osquery did not say)."""
        return self.columns_used is None or not self.columns_used.isdisjoint(names)

    def check_time(self) -> None:
        """Raise BudgetExceeded once the table's time is used up; long loops call it."""
        if time.monotonic() > self.deadline:
            raise BudgetExceeded(f"stopped after its time budget of {self.budget_seconds:g} s")

    def seconds_left(self) -> float:
        """Seconds until the budget ends, never below zero."""
        return max(0.0, self.deadline - time.monotonic())


Generate = Callable[["Host", QueryContext], Iterable[Row]]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: what it is called, what its rows look like, and the function that makes them."""

    name: str
    row: type[Row]
    generate: Generate
    description: str
    sop_steps: tuple[int, ...]
    examples: tuple[str, ...]
    # Seconds for which an answer may serve again: a JOIN calls a table once per outer row.
    cache_seconds: float = 5.0
    # Longest time one scan may take before the query fails with a message.
    budget_seconds: float = DEFAULT_BUDGET_SECONDS
    max_rows: int = DEFAULT_MAX_ROWS
    # Whether the function reads the pushed-down constraints; otherwise one full scan answers every query for a while.
    uses_constraints: bool = False
    # Whether it tells about the running system alone, and nothing about a mounted disk.
    needs_live: bool = False
    # Whether a scan gets a thread of its own, which can be left behind when a system call never returns.
    own_thread: bool = True
    # Whether it tells about the extension itself, so that the process that keeps count of it answers, from memory alone.
    of_extension: bool = False
    # Whether an answer rests on what earlier scans remembered, whose loss must be said.
    remembers: bool = False
    # Whether an answer rests on nothing but files that it looks at by path through `host.files`: while none of them changes,
    # the same answer serves again. No time of day, no process and no forked reader may have a share in it.
    rests_on_files: bool = False
    # Whether a triage begins its scan at once, beside the others: it takes or waits for seconds, whatever is asked. If it does
    # not remember what it saw, it is scanned in a process of its own: no other table has a share in what it reads.
    scan_early: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in order."""
        return self.row.columns()

    def question(self, query: QueryContext) -> str:
        """What tells questions apart whose answers may differ: the constraints, and the columns on demand that are used."""
        on_demand = [column.name for column in self.columns if column.on_demand and query.uses(column.name)]
        return json.dumps([sorted(query.constraints.items()), on_demand])

    @property
    def notes(self) -> str:
        """The generate function's docstring: what a row means, where it is read, what it cannot see."""
        return (self.generate.__doc__ or "").strip()


RowT = TypeVar("RowT", bound=Row)


def table(
    name: str, row: type[RowT], *, description: str, sop_steps: Iterable[int], examples: Iterable[str], **options: Any
) -> Callable[[Callable[[Host, QueryContext], Iterator[RowT]]], Table]:
    """Make the decorated generator function a Table; its module then needs no other registration."""

    def decorate(generate: Callable[[Host, QueryContext], Iterator[RowT]]) -> Table:
        @functools.wraps(generate)
        def heard_generate(host: Host, query: QueryContext) -> Iterator[RowT]:
            yield from heard(iter(generate(host, query)), query)

        return Table(name, row, heard_generate, description, tuple(sop_steps), tuple(examples), **options)

    return decorate
