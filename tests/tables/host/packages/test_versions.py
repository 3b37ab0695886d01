from __future__ import annotations

import shutil
import subprocess
from typing import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tables.host.packages.versions import compare_apk, compare_deb, compare_rpm

Compare = Callable[[str, str], int]
ALL: list[Compare] = [compare_deb, compare_rpm, compare_apk]
VERSION = st.from_regex(r"([0-9]:)?[0-9][0-9a-z.+~]{0,6}(-[0-9a-z.+~]{1,4})?", fullmatch=True)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


@pytest.mark.parametrize(
    "ordered",
    [
        ["1.0~rc1-1", "1.0-1~bpo12+1", "1.0-1", "1.0-1+b1", "1.0-1+deb12u1", "1.0.1-1", "1.10-1", "1:0.1-1"],
        ["7.88.1-10+deb12u5", "7.88.1-10+deb12u14", "7.88.1-10+deb12u15"],
    ],
)
def test_deb(ordered: list[str]) -> None:
    check(compare_deb, ordered)


@pytest.mark.parametrize(
    "ordered",
    [
        ["1.0~rc1-1", "1.0-1", "1.0^20260101-1", "1.0.1-1", "1.10-1", "1:0.1-1"],
        ["5.14.0-362.el9", "5.14.0-427.13.1.el9_4", "5.14.0-427.20.1.el9_4"],
        ["1.a-1", "1.1-1"],
    ],
)
def test_rpm(ordered: list[str]) -> None:
    check(compare_rpm, ordered)


@pytest.mark.parametrize(
    "ordered", [["1.2_alpha1-r0", "1.2_rc1-r0", "1.2-r0", "1.2-r1", "1.2_p1-r0", "1.2a-r0", "1.2.1-r0", "1.10-r0"]]
)
def test_apk(ordered: list[str]) -> None:
    check(compare_apk, ordered)


def check(compare: Compare, ordered: list[str]) -> None:
    for index, version in enumerate(ordered):
        for other, against in enumerate(ordered):
            assert sign(compare(version, against)) == sign(index - other), (version, against)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_compares_and_both_ways_agree(one: str, other: str) -> None:
    for compare in ALL:
        assert sign(compare(one, other)) == -sign(compare(other, one))
        assert compare(one, one) == 0


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg")
@settings(max_examples=60, deadline=None)
@given(VERSION, VERSION)
@example("1.0-1", "1.0")
@example("1.0", "1.0-0")
def test_deb_as_dpkg_itself_says(one: str, other: str) -> None:
    for operator, holds in (("lt", compare_deb(one, other) < 0), ("eq", compare_deb(one, other) == 0)):
        assert (subprocess.run(["dpkg", "--compare-versions", one, operator, other], check=False).returncode == 0) == holds


def test_a_version_of_a_megabyte() -> None:
    for compare in ALL:
        compare("1" * 1_000_000, "1" * 999_999)
