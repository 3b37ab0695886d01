"""Serves test tables (slow, raising, hostile …) with the extension's own server: `serve_tables.py --socket S [--tables a,b]`.

The slow table makes the file <socket>.slow when its scan begins, and ends it once <socket>.release exists.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from extension.serving import server
from extension.serving.logs import configure_logging
from extension.serving.workers import Workers
from tables.errors import TableError
from tables.host import Host
from tables.schema import BIGINT, BLOB, DOUBLE, INTEGER, TEXT, UNSIGNED_BIGINT, QueryContext, Row, Table, column, table

ABOUT: dict[str, Any] = {"description": "a test table", "sop_steps": (), "examples": ()}
HOSTILE = [
    b"\xff\xfe\xed\xa0\x80 not UTF-8",
    "lone surrogate \udc80\ud800",
    "NUL \0 inside",
    "\x1b[2J\x1b]0;title\x07",
    "line\nbreak\r\ttab",
    "right-to-left \u202e override",
    "A" * (1 << 20),
    "",
]


def raw(sql_type: str, options: int) -> Any:
    """A column with exactly these options: `column` always adds OPTIMIZED, and osquery was recorded without it."""
    return dataclasses.field(default=None, metadata={"type": sql_type, "description": "", "options": options})


@dataclasses.dataclass(frozen=True)
class WireRow(Row):
    k: str = raw(TEXT, 0)
    pid: int = raw(BIGINT, 1)
    path: str = raw(TEXT, 1 | 8)
    n: int = raw(INTEGER, 4)
    d: float = raw(DOUBLE, 8)
    u: int = raw(UNSIGNED_BIGINT, 16)


@table("wire", WireRow, **ABOUT)
def wire(host: Host, query: QueryContext) -> Iterator[WireRow]:
    for i in (1, 2, 3):
        yield WireRow(k=str(i), pid=i, path=f"/p{i}", n=i, d=1.5, u=i)


@dataclasses.dataclass(frozen=True)
class RequiredRow(Row):
    path: str = raw(TEXT, 2)
    v: str = raw(TEXT, 8)


@table("wire_required", RequiredRow, uses_constraints=True, **ABOUT)
def wire_required(host: Host, query: QueryContext) -> Iterator[RequiredRow]:
    """As the recorded extension did: one row a value, whatever the operator."""
    for term in query.constraints["path"]:
        yield RequiredRow(path=term.expr, v="x")


@dataclasses.dataclass(frozen=True)
class Numbered(Row):
    number: int = column(BIGINT, "", index=True)
    square: int = column(BIGINT, "")


@table("numbered", Numbered, cache_seconds=60.0, **ABOUT)
def numbered(host: Host, query: QueryContext) -> Iterator[Numbered]:
    for number in range(1000):
        yield Numbered(number=number, square=number * number)


@dataclasses.dataclass(frozen=True)
class Scans(Row):
    table_name: str = column(TEXT, "")
    calls: int = column(BIGINT, "")
    scans: int = column(BIGINT, "")


@table("scans", Scans, cache_seconds=0.0, of_extension=True, **ABOUT)
def scans(host: Host, query: QueryContext) -> Iterator[Scans]:
    for name in TABLES:
        record = host.status.get(name)
        yield Scans(table_name=name, calls=record.calls, scans=record.scans)


@dataclasses.dataclass(frozen=True)
class Text(Row):
    text: Optional[str] = column(TEXT, "", index=True)


@table("hostile", Text, **ABOUT)
def hostile(host: Host, query: QueryContext) -> Iterator[Text]:
    for value in HOSTILE:
        yield Text(text=value)


@dataclasses.dataclass(frozen=True)
class Missing(Row):
    text: Optional[str] = column(TEXT, "")
    raw: Optional[bytes] = column(BLOB, "")
    whole: Optional[int] = column(INTEGER, "")
    big: Optional[int] = column(BIGINT, "")
    unsigned: Optional[int] = column(UNSIGNED_BIGINT, "")
    real: Optional[float] = column(DOUBLE, "")


@table("missing", Missing, **ABOUT)
def missing(host: Host, query: QueryContext) -> Iterator[Missing]:
    """A row that knows nothing."""
    yield Missing()


@table("echo", Text, uses_constraints=True, **ABOUT)
def echo(host: Host, query: QueryContext) -> Iterator[Text]:
    """The bytes that the query compared `text` with, in hexadecimal, as an error: a row would have to match."""
    raise TableError(" ".join(os.fsencode(value).hex() for value in query.equals("text") or ()))
    yield Text()


@table("raising", Text, **ABOUT)
def raising(host: Host, query: QueryContext) -> Iterator[Text]:
    yield Text(text="a row that must not be seen")
    raise ValueError("a defect\nwith \x1b[31mtwo lines\udcff")


@table("failing", Text, **ABOUT)
def failing(host: Host, query: QueryContext) -> Iterator[Text]:
    yield Text(text="a row that must not be seen")
    raise PermissionError(13, "Permission denied", "/etc/hostile\n\x1b[31m")


@table("slow", Text, **ABOUT)
def slow(host: Host, query: QueryContext) -> Iterator[Text]:
    Path(f"{SOCKET}.slow").touch()
    while not Path(f"{SOCKET}.release").exists():
        query.check_time()
        time.sleep(0.01)
    yield Text(text="released")


@table("hog", Text, budget_seconds=3.0, cache_seconds=0.0, **ABOUT)
def hog(host: Host, query: QueryContext) -> Iterator[Text]:
    """Keeps the interpreter to itself, as a pattern over hostile text can, far beyond its time."""
    re.match(r"(a|aa)+$", "a" * 64 + "b")
    yield Text(text="never")


@table("uptime", Text, **ABOUT)
def uptime(host: Host, query: QueryContext) -> Iterator[Text]:
    """Has the name of one of osquery's own tables."""
    yield Text(text="not osquery's")


_TABLES = (wire, wire_required, numbered, scans, hostile, missing, echo, raising, failing, slow, hog, uptime)
TABLES: dict[str, Table] = {entry.name: entry for entry in _TABLES}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--interval", type=float, default=3.0)
    parser.add_argument("--tables", default=",".join(name for name in TABLES if name != "uptime"))
    options, _ = parser.parse_known_args()
    SOCKET = options.socket
    served = {name: TABLES[name] for name in options.tables.split(",")}
    configure_logging(verbose=False)
    workers = Workers(served, Host())
    workers.start()
    code = server.serve(workers, options.socket, 10.0, options.interval)
    sys.stderr.flush()
    os._exit(code)
