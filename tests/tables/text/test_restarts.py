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
        "while read -t 9 f; do /tmp/x; done",
        "done; while sleep 1; do /tmp/x; done",
        "while sleep 1; do $(echo `/tmp/x`); done",
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
        "while cat -t f; do /tmp/x; done",
        "while sleep 1; do a; done; /tmp/x",
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


def test_functions_that_call_each_other_are_followed_once() -> None:
    assert shell_restarts("f() { g; /tmp/f; }\ng() { f; /tmp/g; }\nwhile sleep 1; do f; done").names.count("/tmp/f") == 1
    assert "/tmp/g" in shell_restarts("f() { g; }\ng() { f; /tmp/g; }\nwhile sleep 1; do f; done").names


def test_code_and_scripts_of_interpreters_are_looked_into_or_named() -> None:
    assert shell_starts("sh -c '/tmp/x'; bash /tmp/y; python3 -c 'import z'; cd").names == ("/tmp/x", "/tmp/y", "cd")


def test_nesting_and_the_number_of_starts_are_bounded() -> None:
    nested = "/tmp/deep"
    for _ in range(3):
        nested = f"a $({nested})"
    assert "/tmp/deep" in shell_starts(nested).names
    assert "/tmp/deep" not in shell_starts(f"a $({nested})").names
    assert len(shell_starts("\n".join(f"/tmp/{number}" for number in range(300))).names) == 256


def test_arguments_that_are_run_are_told() -> None:
    assert shell_restarts('while :; do "$1" -x; sleep 1; done').runs_arguments
    assert not shell_restarts('while :; do echo "$1"; sleep 1; done').runs_arguments


def test_code_of_another_language_must_loop_pause_and_start() -> None:
    code = "import os, time\nwhile True:\n    os.system('/tmp/x &')\n    time.sleep(5)\n"
    assert "/tmp/x" in code_restarts(code).names
    assert not code_restarts(code).runs_arguments and code_restarts(code + "print(sys.argv)").runs_arguments
    for missing in ("while", "sleep", "system"):
        assert not code_restarts(code.replace(missing, "")).names


@given(st.text(alphabet="whiledountforse;&|(){}$'\"`\n \\/x", max_size=400))
def test_no_text_raises(text: str) -> None:
    for find in (shell_starts, shell_restarts, code_restarts):
        assert len(find(text).names) <= 256


def test_long_text_is_cut() -> None:
    assert not shell_restarts("#" * TEXT_LIMIT + "\nwhile :; do /tmp/x; done").names
