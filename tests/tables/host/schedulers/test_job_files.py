from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.schedulers.job_files import at_time, parse_anacrontab, parse_at_job, parse_fcrontab, parse_incrontab
from tests.support.linear import assert_linear

PREAMBLE = """#!/bin/sh
# atrun uid=1000 gid=1000
# mail dev 0
umask 2
LANG=C.UTF-8; export LANG
LD_PRELOAD=/opt/my\\ lib.so; export LD_PRELOAD
PWD=/home/dev; export PWD
cd /home/dev/my\\ work || {
\t echo 'Execution directory inaccessible' >&2
\t exit 1
}
"""


def test_anacrontab() -> None:
    text = "START_HOURS_RANGE=3-22\n1\t5\tcron.daily\tnice run-parts /etc/cron.daily\n@monthly 45 m /x y\n# 1 2 x /y\n7 x y /z\n"
    assert [(job.line, job.schedule, job.command) for job in parse_anacrontab(text)] == [
        (2, "1 5", "nice run-parts /etc/cron.daily"),
        (3, "@monthly 45", "/x y"),
    ]


def test_incrontab() -> None:
    text = "/srv/in IN_CLOSE_WRITE,IN_CREATE /opt/x $@/$#\n/a\\ b IN_DELETE sh -c 'y'\n#/a IN_ALL /b\n/c IN_ALL\n"
    assert [(job.line, job.schedule, job.command) for job in parse_incrontab(text)] == [
        (1, "/srv/in IN_CLOSE_WRITE,IN_CREATE", "/opt/x $@/$#"),
        (2, "/a\\ b IN_DELETE", "sh -c 'y'"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("& 05,35 12-14 * * * /a b", ("& 05,35 12-14 * * *", None, "/a b")),
        ("0 1 * * * /a", ("0 1 * * *", None, "/a")),
        ("&nice(10),bootrun 30 2 * * * /a", ("&nice(10),bootrun 30 2 * * *", None, "/a")),
        ("%hourly,runas(bob) 10 /x y", ("%hourly,runas(bob) 10", "bob", "/x y")),
        ("%nightly * 22-4 /x", ("%nightly * 22-4", None, "/x")),
        ("%weekly * 3-5 1 /w", ("%weekly * 3-5 1", None, "/w")),
        ("@ 30 /z", ("@ 30", None, "/z")),
        ("@first(1),runas(root) 1h30 /q r", ("@first(1),runas(root) 1h30", "root", "/q r")),
        ("!serial(true),b(0)", None),
        ("  !mailto(a) 0 1 * * * /a", None),
        ("@ 30", None),
    ],
)
def test_fcrontab(line: str, expected: tuple[str, str | None, str] | None) -> None:
    found = [(job.schedule, job.user, job.command) for job in parse_fcrontab(line)]
    assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("body", "line", "command"),
    [
        ("${SHELL:-/bin/sh} << 'marcinDELIMITER1c9c8d9f'\n/a\n/b\n\nmarcinDELIMITER1c9c8d9f\n", 13, "/a\n/b"),
        ("${SHELL:-/bin/sh} << 'marcinDELIMITER1c9c8d9f'\n/a\n", 13, "/a"),
        ("\n/a; /b\n", 13, "/a; /b"),
        ("${SHELL:-/bin/sh} << 'marcinDELIMITER1c9c8d9f'\nmarcinDELIMITER1c9c8d9f\n", 13, ""),
    ],
)
def test_of_an_at_job_only_its_own_commands_are_shown(body: str, line: int, command: str) -> None:
    job = parse_at_job(PREAMBLE + body)
    assert (job.line, job.command) == (line, command)
    assert (job.uid, job.folder) == (1000, "/home/dev/my work")
    assert job.environment == (("LANG", "C.UTF-8"), ("LD_PRELOAD", "/opt/my lib.so"), ("PWD", "/home/dev"))


def test_an_at_job_without_a_preamble_is_all_commands() -> None:
    assert parse_at_job("/a\n/b\n")[:5] == (None, None, (), 1, "/a\n/b")


@pytest.mark.parametrize(
    ("name", "expected"), [("a0000101c0ffee", 0x01C0FFEE * 60), ("=0002e00000001", 60), (".SEQ", None), ("a0000101c0ffe", None)]
)
def test_the_name_of_an_at_job_tells_when(name: str, expected: int | None) -> None:
    assert at_time(name) == expected


@given(st.text(alphabet=st.sampled_from("&%@!*09 \t\n()\\=;,#acdhorunsexpt'<|{}/\x00\ud800"), max_size=300))
def test_any_text_is_read_without_error(text: str) -> None:
    for parse in (parse_anacrontab, parse_incrontab, parse_fcrontab):
        assert all(job.command and job.schedule for job in parse(text))
    assert 1 <= parse_at_job(PREAMBLE + text).line <= (PREAMBLE + text).count("\n") + 1
    assert parse_at_job(text).command in text


@pytest.mark.parametrize("piece", [" ", "\t", ">", "1", "*", "&", "% ", "x=", "a,", '"', "\\"])
@pytest.mark.parametrize("beginning", ["", "&", "* * * * * ", "@daily "])
def test_a_line_made_to_be_slow_takes_linear_time(beginning: str, piece: str) -> None:
    def read(amount: int) -> None:
        for parse in (parse_anacrontab, parse_incrontab, parse_fcrontab):
            list(parse(beginning + piece * amount))
        parse_at_job(beginning + piece * amount)

    assert_linear(read, 2_000)
