"""A step of a response names the finding's own values, and only as a shell would read them; else it is left out."""

from __future__ import annotations

import dataclasses
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.incidents.steps import VALUE_SHOWN, Todo, plain, prose, todos
from extension.pack.model import load_pack, shipped_pack
from extension.pack.parts import ResponseStep, Text
from tests.support.made_triage import HOSTILE

QUERIES = {query.name: query for query in load_pack(shipped_pack()).queries()}


def done(command: str, text: str = "do it", **row: str) -> tuple[Todo, ...]:
    step = ResponseStep("contain", Text(text, "做"), command)
    return todos(dataclasses.replace(QUERIES["miner_process"], response=(step,)), row, "en")


def filled(command: str, **row: str) -> str:
    (todo,) = done(command, **row)
    assert todo.is_refused == (not todo.command)
    return todo.command


def test_plain_values_are_filled_in_wherever_they_stand() -> None:
    assert filled('cp /proc/<pid>/exe "$CASE/<pid>.exe"', pid="7") == 'cp /proc/7/exe "$CASE/7.exe"'


@pytest.mark.parametrize("value", ["/tmp/x;reboot", "/tmp/a b", "$(id)", "it's", "`id`", "a\\b", "/tmp/挖矿", "*", "<pid>"])
def test_other_values_are_quoted_where_they_stand_as_a_word(value: str) -> None:
    assert shlex.split(filled("rm -- <path>", path=value)) == ["rm", "--", value]


@pytest.mark.parametrize("value", ["-rf", "\x1b[2Jx;", "a\nb", "x\u202e;", "a\u200bb", "\u05d0 b", "x " * 300, HOSTILE])
def test_a_value_that_would_mislead_is_refused(value: str) -> None:
    assert filled("rm -- <path>", path=value) == ""


@pytest.mark.parametrize("command", ["cat /proc/<v>/exe", "sh -c 'cat <v>'", 'sh -c "cat <v>"', "x<v> y", "pid=<v>a"])
def test_nothing_is_quoted_inside_of_quotes_or_words(command: str) -> None:
    assert filled(command, v="a b") == ""
    assert filled(command, v="7") == command.replace("<v>", "7")


@pytest.mark.parametrize("row", [{}, {"pid": ""}, {"pid": "0"}, {"pid": "-1"}, {"remote_address": "0.0.0.0", "pid": ""}])
def test_a_step_is_left_out_where_the_row_lacks_what_it_names(row: dict[str, str]) -> None:
    assert done("kill -STOP <pid>", **row) == ()
    assert done("", "Stop <pid>.", **row) == ()


def test_a_listener_has_no_remote_address_to_block() -> None:
    rows = [
        {"pid": "7", "remote_address": address, "remote_port": "0", "exe_path": "/tmp/x"} for address in ("0.0.0.0", "::", "")
    ]
    commands = [todo.command for row in rows for todo in todos(QUERIES["suspect_program_on_network"], row, "en")]
    assert "kill -STOP 7" in commands and not any("blackhole" in command for command in commands)


def test_each_process_and_file_has_its_own_name_among_the_evidence() -> None:
    saved = [
        todo.command
        for pid in ("7", "8")
        for todo in todos(QUERIES["miner_process"], {"pid": pid, "config_path": f"/opt/{pid}/c.json"}, "en")
        if todo.phase == "preserve"
    ]
    assert len(set(saved)) == 4 and all("--no-clobber" in command and '"$CASE' in command for command in saved)


@pytest.mark.parametrize(
    ("name", "row", "is_removed"),
    [
        ("odd_place_program", {"exe_path": "/var/tmp/.x/kswapd0"}, True),
        ("odd_place_program", {"exe_path": "/usr/lib/.cache/udevd"}, True),
        ("odd_place_program", {"exe_path": "/usr/bin/perl"}, False),
        ("systemd_unit_odd_program", {"program_path": "/usr/bin/curl"}, False),
        ("cron_temporary_or_hidden_program", {"program_path": "/bin/sh"}, False),
        ("fresh_elf_in_system_folder", {"path": "/usr/bin/kdevtmpfsi"}, True),
        ("fresh_elf_in_system_folder", {"path": "/usr/bin/python3.11"}, False),
    ],
)
def test_no_program_of_the_system_is_removed(name: str, row: dict[str, str], is_removed: bool) -> None:
    (path,) = row.values()
    assert any(todo.command == f"rm -- {path}" for todo in todos(QUERIES[name], {**row, "pid": "7"}, "en")) == is_removed


def test_no_text_of_the_pack_is_changed_by_taking_it_apart() -> None:
    for query in QUERIES.values():
        for language in ("en", "zh"):
            assert plain(prose(query.description.get(language))) == query.description.get(language)


@given(st.text(max_size=60), st.text(max_size=30))
def test_no_value_becomes_more_than_one_word(before: str, value: str) -> None:
    before = before.replace("<", "")
    for todo in done(f"{before} <v> x", v=value):
        if todo.command and before.count("'") % 2 == before.count('"') % 2 == 0 and "\\" not in before:
            word = todo.command[len(before) + 1 : -2]
            assert shlex.split(word) == [value] and not word.startswith("-")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_step_of_the_pack_prints_what_steers_a_terminal(language: str) -> None:
    for query in QUERIES.values():
        for value in (HOSTILE, "x" * 5000, "a b", "-rf"):
            columns = {column for step in query.response for column in _columns(step)}
            for todo in todos(query, dict.fromkeys(columns, value), language):
                shown = plain(todo.text) + todo.command
                assert not any(char in shown for char in "\x1b\x07\x00\u202e\n") and len(shown) < 20 * VALUE_SHOWN


def _columns(step: ResponseStep) -> list[str]:
    from extension.pack.parts import columns_of

    return columns_of(step.text.en) + columns_of(step.text.zh) + columns_of(step.command)
