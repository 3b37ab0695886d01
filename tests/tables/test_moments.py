from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.moments import parse_moment

NOW = 1_795_436_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1795436000", 1_795_436_000),
        ("0", 0),
        ("now", NOW),
        ("-2 days", NOW - 172_800),
        ("24 hours ago", NOW - 86_400),
        ("-90m", NOW - 5400),
        ("2026-11-20 10:00:00Z", 1_795_168_800),
        ("2026-11-20T10:00+01:00", 1_795_165_200),
    ],
)
def test_moments(text: str, seconds: float) -> None:
    assert parse_moment(text, NOW) == int(seconds) * 10**9


@pytest.mark.parametrize(
    "text", ["", "soon", "2 days", "- 2 days ago", "2026-13-01", "2026-11-20 25:00", "1e9", "2026-11-20+99:99"]
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError):
        parse_moment(text, NOW)


@given(st.text() | st.from_regex(r"[-+0-9: TZ.]{0,40}|-?\d{1,12} (days|weeks)( ago)?"))
def test_nothing_but_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_moment(text, NOW)
