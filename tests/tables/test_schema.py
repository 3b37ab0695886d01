"""Rows, columns and query contexts keep what the wire demands."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tables
from tables.schema import (
    BIGINT,
    MAX_TEXT,
    OPTION_INDEX,
    OPTION_OPTIMIZED,
    SQL_TYPES,
    TEXT,
    QueryContext,
    Row,
    clean_text,
    column,
    wire_value,
)

# osquery's log pipelines rewrite columns of these names; miner_pools is an inventory that no log should carry whole.
ALLOWED = {("miner_pools", "source")}
RESERVED = {"action", "name", "type", "size", "uid", "host", "source", "time", "message", "tags"}


@dataclasses.dataclass(frozen=True)
class Sample(Row):
    pid: int = column(BIGINT, "a number", index=True)
    path: str = column(TEXT, "a text")


@given(st.one_of(st.text(st.characters(codec=None), max_size=300), st.binary(max_size=300)))
def test_text_on_the_wire_is_valid_printable_utf8(value: str | bytes) -> None:
    text = clean_text(value)
    text.encode("utf-8")
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in text)
    assert not any(0x202A <= ord(char) <= 0x202E or 0x2066 <= ord(char) <= 0x2069 for char in text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\xff\xfe name", r"\xff\xfe name"),
        ("a\0b\nc\x1b[31m", r"a\x00b\x0Ac\x1B[31m"),
        ("caf\u00e9 \u77ff\u5de5", "caf\u00e9 \u77ff\u5de5"),
        ("x\u202egnp.sh", r"x\u202Egnp.sh"),
        ("\udcff\udc80", r"\xff\x80"),
        ("\ud800 lone", r"\ud800 lone"),
    ],
)
def test_hostile_text_is_escaped_and_good_text_kept(value: str | bytes, expected: str) -> None:
    assert clean_text(value) == expected


def test_a_megabyte_is_cut_to_the_limit() -> None:
    assert len(clean_text("A" * 1_000_000)) == len(clean_text(b"\xff" * 1_000_000)) == MAX_TEXT


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), (True, "1"), (False, "0"), (0, "0"), (2**64 - 1, "-1"), (2**63 - 1, str(2**63 - 1)), (1.5, "1.5"), ("", "")],
)
def test_values_are_strings_that_osquery_reads_back(value: object, expected: str) -> None:
    assert wire_value(value) == expected  # type: ignore[arg-type]


def test_none_and_empty_become_null_and_zero_stays() -> None:
    assert Sample(pid=0, path="").to_wire() == {"pid": "0"}
    assert Sample(pid=None, path="/x").to_wire() == {"path": "/x"}  # type: ignore[arg-type]


def test_columns_come_from_the_fields_in_order() -> None:
    pid, path = Sample.columns()
    assert (pid.name, pid.type, pid.options) == ("pid", BIGINT, OPTION_INDEX | OPTION_OPTIMIZED)
    # A column with options 0 would be made an index by --extensions_default_index.
    assert (path.name, path.options) == ("path", OPTION_OPTIMIZED)


def context(**terms: list[tuple[object, str]]) -> str:
    constraints = [{"name": name, "list": [{"op": op, "expr": expr} for op, expr in list_]} for name, list_ in terms.items()]
    return json.dumps({"constraints": constraints, "colsUsed": ["pid"], "colsUsedBitset": 1})


def test_only_equals_counts_as_a_value() -> None:
    assert QueryContext.from_wire(context(pid=[(2, "7"), (2, "8")])).equals("pid") == ["7", "8"]
    assert QueryContext.from_wire(context(pid=[("2", "7")])).equal_integers("pid") == [7]
    for operator in (4, 65, 66, 68, 73):
        assert QueryContext.from_wire(context(pid=[(operator, "10")])).equals("pid") is None
    assert QueryContext.from_wire(context(pid=[(2, "x")])).equal_integers("pid") is None


def test_columns_used_are_all_when_core_does_not_say() -> None:
    assert QueryContext.from_wire(context()).uses("pid") and not QueryContext.from_wire(context()).uses("path")
    assert QueryContext.from_wire(None).uses("path")


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", '{"constraints": 5}', '{"constraints": [{"name": "pid", "list": [{}]}]}', "null"]
)
def test_a_malformed_context_is_no_constraint(text: str) -> None:
    assert QueryContext.from_wire(text).equals("pid") is None


@pytest.mark.parametrize("name", sorted(tables.discover()))
def test_every_table_is_documented_and_safe_to_ship(name: str) -> None:
    table = tables.discover()[name]
    assert table.description.endswith(".") and table.notes and table.examples and table.sop_steps
    assert all(1 <= step <= 18 for step in table.sop_steps)
    assert len({each.name for each in table.columns}) == len(table.columns) > 1
    for each in table.columns:
        assert each.type in SQL_TYPES and each.type != "INTEGER"
        assert each.description and each.options
        assert each.name not in RESERVED or (name, each.name) in ALLOWED
