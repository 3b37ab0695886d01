from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.systemd.syntax import (
    Setting,
    activated_unit,
    drop_in_names,
    events,
    exec_commands,
    expand_specifiers,
    expand_variables,
    last_value,
    parse_unit,
    split_words,
    template_of,
    values,
)

UNIT = r"""# comment
; another
[Unit]
Description = A unit

[Service]
  ExecStart=/bin/a \
# a comment does not end the line
      --flag \
;nor does this
      last
ExecStart=
ExecStart=-/bin/b two\\
Environment="A=1 2" B=3
no assignment
[Broken
Lost=1
[Install]
WantedBy=multi-user.target
"""


def test_sections_continuations_and_comments() -> None:
    assert parse_unit(UNIT) == [
        Setting("Unit", "Description", "A unit", 4),
        Setting("Service", "ExecStart", "/bin/a        --flag        last", 7),
        Setting("Service", "ExecStart", "", 12),
        Setting("Service", "ExecStart", "-/bin/b two\\\\", 13),
        Setting("Service", "Environment", '"A=1 2" B=3', 14),
        Setting("Install", "WantedBy", "multi-user.target", 19),
    ]


def test_a_blank_line_ends_a_continuation_and_line_ends_of_all_systems_count() -> None:
    assert [(one.key, one.value) for one in parse_unit("\ufeff[S]\r\nA=1 \\\n\nB=2\rC=3\0D=4 \\")] == [
        ("A", "1"),
        ("B", "2"),
        ("C", "3"),
        ("D", "4"),
    ]


def test_an_empty_assignment_takes_back_the_earlier_ones_of_its_key() -> None:
    settings = parse_unit("[Service]\nExecStart=a\nExecStartPre=p\nExecStart=\nExecStart=b\nUser=x\nUser=\n[Unit]\nExecStart=c\n")
    assert [one.value for one in values(settings, "Service", "ExecStart", "ExecStartPre")] == ["p", "b"]
    assert last_value(settings, "Service", "User") is None


@pytest.mark.parametrize(
    ("value", "commands"),
    [
        ("/bin/a b  c", [("", ("/bin/a", "b", "c"))]),
        ("-@/bin/a name x", [("-@", ("/bin/a", "x"))]),
        ("!!+:|/bin/a", [("!!+:|", ("/bin/a",))]),
        (r"""/bin/sh -c 'a "b" \'c' "d \"e\"" f\x20g \u00e9""", [("", ("/bin/sh", "-c", 'a "b" \'c', 'd "e"', "f g", "é"))]),
        ("/bin/a ; /bin/b \\; ';' c;d", [("", ("/bin/a",)), ("", ("/bin/b", ";", ";", "c;d"))]),
        ("/bin/sh -c 'never closed", [("", ("/bin/sh", "-c", "never closed"))]),
        (r"/bin/printf a\n\101\q\\", [("", ("/bin/printf", "a\nA\\q\\"))]),
        (r"/bin/printf \ud800\ue000", [("", ("/bin/printf", "\\ud800\ue000"))]),
        ("; ; /bin/a ;", [("", ("/bin/a",))]),
        ("", []),
        ("-", [("-", ())]),
    ],
)
def test_commands(value: str, commands: list[tuple[str, tuple[str, ...]]]) -> None:
    assert [(one.prefixes, one.words) for one in exec_commands(value)] == commands


def test_specifiers_and_variables() -> None:
    assert expand_specifiers("%h/%%/%i 5% %", {"h": "/home/a"}) == "/home/a/%/* 5% %"
    assert expand_variables(["${P}/x", "$P", "$$1", "a$P", "${Q}", "$Q"], {"P": "/tmp /y"}) == [
        "/tmp /y/x", "/tmp", "/y", "$1", "a$P", "${Q}", "$Q",
    ]  # fmt: skip


def test_names() -> None:
    assert drop_in_names("a-b-c@x.service") == [
        "a-b-c@x.service", "a-b-c@.service", "a-b-@x.service", "a-b-@.service", "a-@x.service", "a-@.service", "service",
    ]  # fmt: skip
    assert drop_in_names("a.timer") == ["a.timer", "timer"]
    assert (template_of("a@b.c.service"), template_of("a@.service"), template_of("a.service")) == ("a@.service", None, None)


@pytest.mark.parametrize(
    ("name", "text", "started"),
    [
        ("a.timer", "", "a.service"),
        ("a@x.timer", "", "a@x.service"),
        ("a.timer", "[Timer]\nUnit=b.target", "b.target"),
        ("a.path", "[Path]\nUnit=b.service", "b.service"),
        ("a.socket", "[Socket]\nService=b.service", "b.service"),
        ("a.socket", "[Socket]\nAccept=yes", "a@.service"),
        ("a.socket", "[Socket]\nAccept=no", "a.service"),
        ("a@x.socket", "[Socket]\nAccept=yes", "a@x.service"),
        ("a.service", "[Timer]\nUnit=b.service", None),
    ],
)
def test_what_a_unit_activates(name: str, text: str, started: str | None) -> None:
    assert activated_unit(name, parse_unit(text)) == started


def test_events_in_their_order_with_resets() -> None:
    settings = parse_unit("[Timer]\nOnCalendar=daily\nOnBootSec=1min\nOnCalendar=\nOnCalendar=weekly\n[Service]\nOnBootSec=1")
    assert [(one.key, one.value) for one in events(settings)] == [("OnBootSec", "1min"), ("OnCalendar", "weekly")]


@given(st.text(max_size=400))
def test_any_text_can_be_parsed(text: str) -> None:
    for setting in parse_unit("[S]\n" + text):
        assert setting.key == setting.key.strip(" \t") and "\n" not in setting.value
        assert setting.line >= 1
        split_words(setting.value)
    for command in exec_commands(text):
        assert command.text in text
        expand_variables([expand_specifiers(word, {"i": "x"}) for word in command.words], {"A": "b"})
    drop_in_names(text)
    activated_unit(text, [])


@given(st.lists(st.text(alphabet="abc -;'\"\\", min_size=1, max_size=12), min_size=1, max_size=6))
def test_quoted_words_come_back(words: list[str]) -> None:
    quoted = ["'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'" for word in words]
    assert split_words(" ".join(quoted)) == words


@pytest.mark.parametrize(
    "text",
    [
        "[S]\nA=" + "\\\n" * 200_000,
        "[S]\nA=" + "'" * 500_000,
        "[S]\n" + "A=a\nB=\n" * 50_000,
        "[S]\nA=" + "\\" * 500_000 + "x",
        "[S]\nA=" + "%i" * 500_000,
    ],
)
def test_long_texts_take_linear_time(text: str) -> None:
    settings = parse_unit(text)
    values(settings, "S", "A", "B")
    for setting in settings:
        for command in exec_commands(setting.value):
            [expand_specifiers(word, {"i": "x" * 255}) for word in command.words]
