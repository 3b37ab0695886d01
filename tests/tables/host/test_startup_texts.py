"""The small parsers of start-up files: key files, logrotate's scripts, continued lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tables.host.startup.daemon_configs import parse_rotate_scripts
from tables.host.startup.desktop_entries import unescape_exec
from tables.text.key_files import Setting, first_values, parse_key_file
from tables.text.lines import logical_lines


def test_settings_of_a_key_file() -> None:
    text = "a=0\n# b=1\n[X Y]\r\nExec = /a %U=b\r\nline\n;c=d\n[Z]\nExec=/z\nExec=/y\n"
    assert list(parse_key_file(text)) == [
        Setting(1, "", "a", "0"),
        Setting(4, "X Y", "Exec", "/a %U=b"),
        Setting(8, "Z", "Exec", "/z"),
        Setting(9, "Z", "Exec", "/y"),
    ]
    assert first_values(text, "Z") == {"Exec": Setting(8, "Z", "Exec", "/z")}


def test_field_codes_are_taken_out() -> None:
    assert unescape_exec("/a %U --b=%% %f") == "/a  --b=%"
    assert unescape_exec("/a %") == "/a %"


def test_scripts_of_log_rotation() -> None:
    text = "x {\n  prerotate\n    /a\n\n    /b\n  endscript\n  postrotate\n  endscript\n}\ny {\n lastaction\n /c\n}"
    assert list(parse_rotate_scripts(text)) == [(3, "/a\n\n/b"), (12, "/c\n}")]


def test_continued_lines() -> None:
    assert list(logical_lines("a\\\nb\nc\\\n#d\ne")) == [(1, "ab"), (3, "c#d"), (5, "e")]
    assert list(logical_lines("a\\\n#b\nc\\", skips_comments=True)) == [(1, "ac")]


@given(st.text(alphabet=st.sampled_from(list("ab=[]#;\\\n\r prerotateendscript")), max_size=300))
def test_any_text_is_survived(text: str) -> None:
    lines = text.count("\n") + 1
    assert all(1 <= found.line <= lines for found in parse_key_file(text))
    assert all(1 <= line <= lines for line, _ in logical_lines(text))
    assert "".join(part for _, part in logical_lines(text)).count("\n") == 0
    assert all(1 <= line <= lines and body for line, body in parse_rotate_scripts(text))
