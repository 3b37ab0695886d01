from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.schedulers.crontab import parse_crontab, split_input


@pytest.mark.parametrize(
    ("line", "has_user", "expected"),
    [
        ("*/5 * * * * /root/.x/y", False, ("*/5 * * * *", None, "/root/.x/y")),
        ("*/5 * * * * root /x/y -z", True, ("*/5 * * * *", "root", "/x/y -z")),
        ("@reboot\t/tmp/a", False, ("@reboot", None, "/tmp/a")),
        ("@hourly root /tmp/a", True, ("@hourly", "root", "/tmp/a")),
        ("@every_minute /a", False, ("@every_minute", None, "/a")),
        ("0 4 1-7/2 jan,feb mon-fri /x", False, ("0 4 1-7/2 jan,feb mon-fri", None, "/x")),
        ("  1 \t2 3 4 5  /x/a%input", False, ("1 2 3 4 5", None, "/x/a%input")),
        ("-*/15 * * * * root /usr/bin/quiet", True, ("-*/15 * * * *", "root", "/usr/bin/quiet")),
        ("~ 3 * * * /a", False, ("~ 3 * * *", None, "/a")),
        ("0~30 */2 * * Sun /a", False, ("0~30 */2 * * Sun", None, "/a")),
        ("1 1 * * * root:wheel/daemon /a", True, ("1 1 * * *", "root", "/a")),
        # Neither a carriage return nor a form feed ends a line.
        ("1 1 * * * /a\rno crontab for root", False, ("1 1 * * *", None, "/a\rno crontab for root")),
        ("# 1 2 3 4 5 /x", False, None),
        (" \t# 1 2 3 4 5 /x", False, None),
        ("PATH=/a b c d e f g", False, None),
        ("2 spoons of sugar and a lemon", False, None),
        ("Please do not remove this file now", True, None),
        ("1 2 3 4 5", False, None),
        ("1 2 3 4 5 root", True, None),
        ("@reboot", False, None),
    ],
)
def test_a_line(line: str, has_user: bool, expected: tuple[str, str | None, str] | None) -> None:
    found = [(job.line, (job.schedule, job.user, job.command)) for job in parse_crontab(f"\n{line}\n", has_user)]
    assert found == ([] if expected is None else [(2, expected)])


def test_variables_hold_for_the_jobs_below_them() -> None:
    text = "A = 1\n* * * * * /a\n\"B\"='two words'\nA=3 \n* * * * * X=y /b\n"
    assert [job.environment for job in parse_crontab(text, False)] == [(("A", "1"),), (("A", "3"), ("B", "two words"))]


def test_variables_that_steer_are_kept_behind_any_number_of_others() -> None:
    text = "".join(f"V{number}=x\n" for number in range(500)) + "LD_PRELOAD=/x.so\n@daily /a\n"
    (job,) = parse_crontab(text, False)
    assert ("LD_PRELOAD", "/x.so") in job.environment
    assert len(job.environment) < 100


def test_each_job_has_the_lines_around_it() -> None:
    text = "#one\n@daily /a\n#two\n\n@daily /b\n#three"
    assert [(job.before, job.text, job.after) for job in parse_crontab(text, False)] == [
        ("#one\n", "@daily /a", "#two\n\n"),
        ("#two\n\n", "@daily /b", "#three"),
    ]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/a", ("/a", None)),
        ("date +\\%F", ("date +%F", None)),
        ("sh%curl x%exit", ("sh", "curl x\nexit")),
        ("/a%", ("/a", "")),
        ("a \\\\%b", ("a \\\\", "b")),
        ("sh%a \\% b", ("sh", "a % b")),
    ],
)
def test_what_stands_behind_a_percent_sign_is_input(command: str, expected: tuple[str, str | None]) -> None:
    assert split_input(command) == expected


@given(st.text(alphabet=st.sampled_from("*0159,-/~@ \t\n\r=#%'\"ab\x00\ud800"), max_size=300), st.booleans())
def test_any_text_is_read_without_error(text: str, has_user: bool) -> None:
    lines = text.split("\n")
    jobs = list(parse_crontab(text, has_user))
    assert [job.line for job in jobs] == sorted({job.line for job in jobs})
    for job in jobs:
        assert lines[job.line - 1] == job.text
        assert job.command.strip() and job.command in job.text
        assert split_input(job.command)
    if jobs:
        assert "".join(f"{job.before}{job.text}\n" for job in jobs) + jobs[-1].after in (text, f"{text}\n")


def test_variables_in_all_their_quotes_and_the_last_value() -> None:
    text = "'A B'=1\n\"C\"=2\nD = '3'\nD=4\n* * * * * /a\n"
    (job,) = parse_crontab(text, False)
    assert dict(job.environment) == {"A B": "1", "C": "2", "D": "4"}


def test_beyond_the_bound_only_known_and_steering_variables_are_taken() -> None:
    text = "".join(f"V{number}=1\n" for number in range(5000)) + "V1=2\nPATH=/tmp\nNEW=1\n* * * * * /a\n"
    (job,) = parse_crontab(text, False)
    found = dict(job.environment)
    assert (found["V1"], found["PATH"]) == ("2", "/tmp") and "NEW" not in found and len(found) < 5000
