"""A response names the finding's own values, and only as a shell would read them."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.report.responses import RESPONSES_SHOWN, Segment, plain, prose, responses
from tests.support.made_triage import HOSTILE, PACK


def filled(text: str, **row: str) -> str:
    (segments,) = responses(text, [row])
    return plain(segments)


def test_plain_values_are_filled_in_wherever_they_stand() -> None:
    assert filled("cp /proc/<pid>/exe <path>; kill <pid>.", pid="7", path="/tmp/x") == "cp /proc/7/exe /tmp/x; kill 7."


@pytest.mark.parametrize("value", ["/tmp/x;reboot", "/tmp/a b", "$(id)", "it's", "`id`", "a\\b", "/tmp/挖矿", "*"])
def test_other_values_are_quoted_where_they_stand_as_a_word(value: str) -> None:
    text = filled("cp <path> /root; then", path=value)
    assert shlex.split(text.partition(";")[0] if ";" not in value else text.rpartition(";")[0]) == ["cp", value, "/root"]


@pytest.mark.parametrize("value", ["-rf", "", "\x1b[2Jx;", "a\nb", "x\u202e;", "a\u200bb", "\u05d0 b", "x " * 300])
def test_a_value_that_would_mislead_is_left_to_the_reader(value: str) -> None:
    assert filled("cp <path> /root", path=value) == "cp <path> /root"


@pytest.mark.parametrize(
    "text", ["cat /proc/<v>/exe", "sh -c 'cat <v>'", 'sh -c "cat <v>"', "<v>'s folder", "x<v> y", "pid=<v>a"]
)
def test_nothing_is_quoted_inside_of_quotes_or_words(text: str) -> None:
    assert filled(text, v="a b") == text
    assert filled(text, v="7") == text.replace("<v>", "7")


def test_each_different_response_is_told_once_and_many_are_told_as_the_pack_has_them() -> None:
    text = "kill <pid>"
    assert [plain(one) for one in responses(text, [{"pid": "1"}, {"pid": "2"}, {"pid": "1"}])] == ["kill 1", "kill 2"]
    assert [plain(one) for one in responses(text, [{"pid": str(n)} for n in range(RESPONSES_SHOWN + 1)])] == [text]
    assert [plain(one) for one in responses(text, [])] == [text]


def test_commands_are_told_from_prose() -> None:
    def commands(text: str) -> list[str]:
        return "".join(
            piece.text if piece.kind in ("command", "value", "blank") else "\n" for piece in responses(text, [{"pid": "7"}])[0]
        ).split("\n")

    assert commands("Freeze it: kill -STOP <pid>; cp /proc/<pid>/exe /root/e, then find what starts it.")[1:3] == [
        "kill -STOP 7",
        "cp /proc/7/exe /root/e",
    ]
    assert "systemctl disable --now firewalld" in commands("Use systemctl disable --now firewalld for this")
    assert "sshd -T | grep -i strictmodes" in commands("see sshd -T | grep -i strictmodes (off)")
    assert "lsattr <path>" in commands("(lsattr <path> if that fails)")
    assert "kill -STOP 7" in commands("冻结:kill -STOP <pid>,继续")
    assert not [piece for piece in prose("The file can be found, and last of all kill the mount.") if piece.kind == "command"]


def test_no_text_of_the_pack_is_changed_by_taking_it_apart() -> None:
    for query in PACK.queries():
        for language in ("en", "zh"):
            for text in (query.response.get(language), query.description.get(language)):
                assert plain(prose(text)) == text
    assert any(Segment("command", "kill -STOP ") in prose(query.response.en) for query in PACK.queries())


@given(st.text(max_size=60), st.text(max_size=30))
def test_no_value_becomes_more_than_one_word(before: str, value: str) -> None:
    before = before.replace("<", "").replace("`", "")
    for kind, text in responses(f"{before} <v> x", [{"v": value}])[0]:
        if kind == "value":
            assert shlex.split(text) == [value] and not text.startswith("-")


def test_what_is_hostile_is_not_filled_in() -> None:
    assert filled("cp <path> /root", path=HOSTILE) == "cp <path> /root"
