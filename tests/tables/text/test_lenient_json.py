"""JSON as miners read it, and texts that are made to be slow to read."""

from __future__ import annotations

import contextlib

import pytest

from tables.text.lenient_json import Json, parse_json
from tests.support.linear import assert_linear


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, /* b */ "c": [1, 2,], // d\n}', {"a": 1, "c": [1, 2]}),
        ('"a": "x // no comment", "b": "/* nor this */, }",', {"a": "x // no comment", "b": "/* nor this */, }"}),
        ('{"a": "quote \\" and backslash \\\\"} /* never closed', {"a": 'quote " and backslash \\'}),
    ],
)
def test_comments_trailing_commas_and_missing_braces_are_read(text: str, value: Json) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize("text", ["", "{}", '{"a', '{"a": "b\\"}', '{"a": 1} }', "{'a': 1}", '{"a": \\'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize("piece", ['\\"', "/* ", "// ", ", ", '"a', '"', "\\", "[", '{"a":'])
def test_a_text_made_to_be_slow_takes_linear_time(piece: str) -> None:
    def read(amount: int) -> None:
        with contextlib.suppress(ValueError):
            parse_json('{"a": "' + piece * amount)

    assert_linear(read, 2_000)
