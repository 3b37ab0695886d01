from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.text.restarts import TEXT_LIMIT, code_restarts, shell_restarts, shell_starts


@pytest.mark.parametrize(
    "text",
    [
        "while true; do pgrep x || /tmp/x -o a; sleep 5; done",
        "start() { nohup /tmp/x & }\nwhile :\ndo\n  pgrep x || start\n  sleep 3\ndone",
        "b=/tmp/x; while [ 1 ]; do $b; done",
        "until /tmp/x; do sleep 1; done",
        "while sleep 9; do sh -c 'setsid /tmp/x >/dev/null 2>&1 &'; done",
        "for ((;;)); do /tmp/x; done",
        "if true; then while true; do (exec /tmp/x); done; fi",
        "while true\r\ndo\r\n  /tmp/x\r\n  sleep 1\r\ndone",
        "while true; do eval '/tmp/x'; sleep 1",
    ],
)
def test_what_a_loop_starts_is_found(text: str) -> None:
    assert "/tmp/x" in shell_restarts(text).names


@pytest.mark.parametrize(
    "text",
    [
        "/tmp/x & while ! curl localhost; do sleep 1; done",
        "while read f; do /tmp/x $f; done",
        "for f in *.c; do /tmp/x $f; done",
        "while true; do pgrep -f /tmp/x; [ -x /tmp/x ]; kill /tmp/x; sleep 1; done",
        "/tmp/x; sleep 5; /tmp/x",
        "cat > g <<'E'\nwhile true; do /tmp/x; sleep 1; done\nE\n/tmp/y",
        "echo 'while true; do /tmp/x; sleep 1; done'",
    ],
)
def test_what_no_loop_starts_again_is_left_out(text: str) -> None:
    assert "/tmp/x" not in shell_restarts(text).names


def test_relative_names_count_from_where_the_script_goes() -> None:
    found = shell_restarts("cd /tmp/.x; while sleep 2; do ./m; bare; done")
    assert set(found.paths("/work")) == {"/work/m", "/tmp/.x/m"}
    assert "bare" in set(found.bare_names)


def test_arguments_that_are_run_are_told() -> None:
    assert shell_restarts('while :; do "$1" -x; sleep 1; done').runs_arguments
    assert not shell_restarts('while :; do echo "$1"; sleep 1; done').runs_arguments


def test_code_of_another_language_must_loop_pause_and_start() -> None:
    code = "import os, time\nwhile True:\n    os.system('/tmp/x &')\n    time.sleep(5)\n"
    assert "/tmp/x" in code_restarts(code).names
    for missing in ("while", "sleep", "system"):
        assert not code_restarts(code.replace(missing, "")).names


@given(st.text(alphabet="whiledountforse;&|(){}$'\"`\n \\/x", max_size=400))
def test_no_text_raises(text: str) -> None:
    for find in (shell_starts, shell_restarts, code_restarts):
        assert len(find(text).names) <= 256


def test_long_text_is_cut() -> None:
    assert not shell_restarts("#" * TEXT_LIMIT + "\nwhile :; do /tmp/x; done").names
