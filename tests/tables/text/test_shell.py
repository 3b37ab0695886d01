from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.text.programs import resolve
from tables.text.shell import MAX_COMMANDS, Command, parse

MEBIBYTE = 1 << 20


def commands(text: str) -> tuple[Command, ...]:
    return parse(text).commands


def words(text: str) -> list[tuple[str, ...]]:
    return [command.words for command in commands(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b c", [("a", "b", "c")]),
        ("a; b\nc & d", [("a",), ("b",), ("c",), ("d",)]),
        ("a && b || c | d |& e", [("a",), ("b",), ("c",), ("d",), ("e",)]),
        ("a # b; c\n# d\ne#f", [("a",), ("e#f",)]),
        ("a \\\n  b\\\nc", [("a", "bc")]),
        ("a 'b ; c' \"d | e\" f\\ g", [("a", "b ; c", "d | e", "f g")]),
        ("\"\" ''", [("", "")]),
        ("c'u'r\"l\" s\\h", [("curl", "sh")]),
        (r"a $'\x62\143\n\'d'", [("a", "bc\n'd")]),
        ('a "\\$b \\c"', [("a", "$b \\c")]),
        ("a $(b; c) `d e` <(f)", [("a", "$(b; c)", "`d e`", "<(f)")]),
        ('a "$(b ")")" c', [("a", '$(b ")")', "c")]),
        ("a $(b # it's\n) c", [("a", "$(b # it's\n)", "c")]),
        ('a "${b:-don\'t}" c', [("a", "${b:-don't}", "c")]),
        ("a=1 b=2 c d=3", [("c", "d=3")]),
        ("a=(b 'c d') e", [("e",)]),
        ("a > b 2>&1 <c d", [("a", "d")]),
        ("a # b\n# c", [("a",)]),
        ("a $(b # c", [("a", "$(b # c")]),
        ("a b=(c d) (e)", [("a", "b=(c d)"), ("e",)]),
        ("a `b` c`d", [("a", "`b`", "c`d")]),
        ('a $\'b\' "$\'c\'" $"d" "$"e', [("a", "b", "$'c'", "d", "$e")]),
        ("a $1b $$ $+ $@", [("a", "$1b", "$$", "$+", "$@")]),
        ("if a; then b; elif c; then d; else e; fi", [("a",), ("b",), ("c",), ("d",), ("e",)]),
        ("while a; do b; done; until c; do d; done", [("a",), ("b",), ("c",), ("d",)]),
        ("for i in x y; do a; done", [("a",)]),
        ("for ((i=0; i<3; i++)); do a; done", [("a",)]),
        ("for i in $(b); do a; done", [("for", "i", "in", "$(b)"), ("a",)]),
        ("case $1 in\n start|stop) a ;;\n (x) b; c;;\n *) d\nesac\ne", [("a",), ("b",), ("c",), ("d",), ("e",)]),
        ("{ a; (b; c); }", [("a",), ("b",), ("c",)]),
        ("f() { a; }\nfunction g { b; }\nf", [("a",), ("b",), ("f",)]),
        ("! a; time b", [("a",), ("time", "b")]),
        ("[[ -f a && b < c ]] && d", [("[[", "-f", "a", "&&", "b", "<", "c", "]]"), ("d",)]),
        ("a\r\nb \\\r\n c\r\n", [("a",), ("b", "c")]),
        ("a\0b", [("ab",)]),
        ("a &> b; c &", [("a",), ("c",)]),
        ("{a,-b,c}", [("a", "-b", "c")]),
        ("a 'unterminated\nb", [("a", "unterminated\nb")]),
        ("", []),
        ("#!/bin/sh\n\n", []),
    ],
)
def test_words(text: str, expected: list[tuple[str, ...]]) -> None:
    assert words(text) == expected


def test_known_variables_are_filled_in_and_unknown_ones_stay() -> None:
    assert words('D=/opt/x; $D/run "$D" ${D}/a $E') == [(), ("/opt/x/run", "/opt/x", "/opt/x/a", "$E")]
    assert words("export C='curl -s'; $C u; \"$C\" u")[1:] == [("curl", "-s", "u"), ("curl -s", "u")]
    assert words("curl${IFS}-s") == [("curl", "-s")]


def test_a_variable_that_doubles_itself_stays_bounded() -> None:
    parsed = commands("A=ab\n" + "A=$A$A\n" * 10_000 + "echo $A")
    assert len(parsed[-1].words[-1]) <= 8192


def test_a_value_as_long_as_is_kept_is_filled_in() -> None:
    for size, expected in ((4096, "x" * 4096), (4097, "$A")):
        assert words(f'A={"x" * size}; a "$A"')[-1] == ("a", expected)


def test_scripts_inside_words_are_found_and_end_where_their_bracket_does() -> None:
    found = commands('a $(b) "${c:-$(d)}" ${e:-`f`} <(g) `h \\`i\\``')
    assert found[0].substitutions == ("b", "c:-$(d)", "e:-`f`", "g", "h `i`")
    assert commands("a ${b}")[0].substitutions == ()
    assert commands("a $(b")[0].substitutions == ("b",)


def test_lines_and_text() -> None:
    parsed = commands("#!/bin/sh\na \\\n  b\n\nc; d 'x\ny'\ne > f\n")
    assert [(command.line, command.text) for command in parsed] == [
        (2, "a b"), (5, "c"), (5, "d 'x\ny'"), (7, "e > f"),
    ]  # fmt: skip


def test_here_documents_belong_to_their_command() -> None:
    parsed = commands("cat <<A <<-'B' > f; x\none\nA\n\ttwo\n\tB\nbase64 -d <<< 'word'\ny\n")
    assert [(command.words, command.here_docs) for command in parsed] == [
        (("cat",), ("one", "two")),
        (("x",), ()),
        (("base64", "-d"), ("word",)),
        (("y",), ()),
    ]
    assert [(redirection.operator, redirection.target) for redirection in parsed[0].redirections] == [
        ("<<", "A"), ("<<-", "B"), (">", "f"),
    ]  # fmt: skip


def test_an_unterminated_here_document_takes_the_rest() -> None:
    assert [(command.words, command.here_docs) for command in commands("cat <<A\nb\nc")] == [(("cat",), ("b\nc",))]


def test_background() -> None:
    parsed = commands("a & b && c & (d; e) & f; while g; do h; done &")
    assert [command.words[0] for command in parsed if command.is_background] == list("abcdegh")


@pytest.mark.parametrize(
    ("text", "unreachable"),
    [
        ("a\nexit 0\nb\nf() { c; }", "bc"),
        ("exec a -b\nc", "c"),
        ("exec > log 2>&1\na", ""),
        ("if x; then exit 0; fi\na", ""),
        ("x && exit 0\na", ""),
        ("x || exit 1; a", ""),
        ("(exit 0)\na", ""),
        ("f() { exit 0; }\na", ""),
        ("exit & a", ""),
        ("case x in y) exit;; esac; a", ""),
        ("fi\nexit 0; a", "a"),
    ],
)
def test_reachability(text: str, unreachable: str) -> None:
    assert "".join(command.words[0] for command in commands(text) if not command.is_reachable) == unreachable


def test_functions_and_pipes() -> None:
    parsed = commands("start() { a | b; }\nc | while d; do e; done")
    assert [command.in_function for command in parsed] == ["start", "start", None, None, None]
    assert [command.fed_by for command in parsed] == [(0, 0), (0, 1), (0, 0), (2, 3), (2, 3)]


def test_substitutions_are_kept_as_scripts() -> None:
    assert commands('a $(b $(c)) "`d`" < <(e)')[0].substitutions == ("b $(c)", "d", "e")


@pytest.mark.parametrize(
    ("text", "program", "script", "code", "reads_input"),
    [
        ("nohup env A=1 -u B /opt/a -b", "/opt/a", None, None, False),
        ("sudo -u root -E nice -n 19 ionice -c3 timeout -k 5 60 /opt/a", "/opt/a", None, None, False),
        ("exec -a '[kworker]' /opt/a", "/opt/a", None, None, False),
        ("setsid -f taskset -c 0-3 chrt -i 0 /opt/a", "/opt/a", None, None, False),
        ("flock -n /lock -c 'a b'", "sh", None, "a b", False),
        ("start-stop-daemon -S -b --exec /opt/a -- -c", "/opt/a", None, None, False),
        ("command -v curl", "command", None, None, False),
        ("nohup", "nohup", None, None, False),
        ("/lib64/ld-linux-x86-64.so.2 /opt/a", "/opt/a", None, None, False),
        ("busybox sh -c 'a'", "sh", None, "a", False),
        ("bash -x /opt/a.sh b", "bash", "/opt/a.sh", None, False),
        ("bash -o pipefail -lc 'a b' c", "bash", None, "a b", False),
        ("bash -s -- -x", "bash", None, None, True),
        ("sh -", "sh", None, None, True),
        (". /opt/a", ".", "/opt/a", None, False),
        ("python3.11 -u -W ignore /opt/a.py -c", "python3.11", "/opt/a.py", None, False),
        ("python3 -c 'a' b", "python3", None, "a", False),
        ("python3 -m json.tool", "python3", None, None, False),
        ("perl -pi -e 's/a/b/' f", "perl", None, "s/a/b/", False),
        ("php", "php", None, None, True),
        ("java -Xmx1g -jar /opt/a.jar", "java", "/opt/a.jar", None, False),
        ("su - app -c 'a b'", "su", None, "a b", False),
        ("runuser -u app -- /opt/a", "/opt/a", None, None, False),
        ("eval a b", "eval", None, "a b", False),
        ("crontab -", "crontab", None, None, True),
        ("env - /opt/a", "-", None, None, False),
        ("timeout -k5 60 /opt/a", "/opt/a", None, None, False),
        ("ionice -tc3 /opt/a", "/opt/a", None, None, False),
        ("sh -- /opt/a", "sh", "/opt/a", None, False),
        ("sh - /opt/a", "sh", "/opt/a", None, False),
        ("tmux new -d 'a b'", "tmux", None, "a b", False),
        ("screen new -d 'a b'", "new", None, None, False),
        ("systemctl run '/opt/a b'", "systemctl", None, None, False),
        ("su --command='a b' app", "su", None, "a b", False),
        ("su --command 'a b'", "su", None, "a b", False),
        ("python3 -- -c", "python3", "-c", None, False),
        ("perl -w -- /opt/a.pl", "perl", "/opt/a.pl", None, False),
    ],
)
def test_programs(text: str, program: str, script: str | None, code: str | None, reads_input: bool) -> None:
    found = resolve(commands(text)[0].words)
    assert found is not None
    assert (found.program, found.script, found.code, found.reads_input) == (program, script, code, reads_input)


def test_assignments_start_nothing() -> None:
    assert resolve(commands("A=1")[0].words) is None


SHELL_TEXT = st.text(alphabet="ab \t\n\r\\'\"`$(){}[];&|<>#=!\0-/~é\udc80", max_size=200) | st.lists(
    st.sampled_from(
        ["if ", "then ", "fi ", "case x in ", "esac ", "do ", "done ", "for i in ", "f() ", "{ ", "} ", "<<E\n", "E\n", "$(",
         "${", "[[ ", " ]]", ";; ", "exit\n", "A=$A$A ", "'", '"', "`", "a ", "nohup ", "sh -c ", "&\n", "| ", "\\\n"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given(SHELL_TEXT)
def test_any_text_is_parsed(text: str) -> None:
    end = 0
    for command in commands(text):
        assert 0 <= command.start <= command.end <= len(text)
        assert command.start >= end or command.words[0] in ("for", "select", "case")
        assert 1 <= command.line <= text.count("\n") + 1
        assert command.fed_by[0] <= command.fed_by[1] <= MAX_COMMANDS
        resolve(command.words)
        end = command.start


@pytest.mark.parametrize(
    "piece", ["(", "$(", "${", '"$(', "`", "'", "\\", "<<E\n", "a|", "a&", "[[ a &&", "case x in ", "f()", "{ ", "$A"]
)
def test_a_megabyte_of_anything_is_parsed(piece: str) -> None:
    script = parse(piece * (MEBIBYTE // len(piece)))
    assert len(script.commands) <= MAX_COMMANDS


def test_too_many_commands_are_cut_and_said_to_be() -> None:
    script = parse("a\n" * (MAX_COMMANDS + 1))
    assert script.is_cut
    assert len(script.commands) == MAX_COMMANDS
    assert not parse("a\n" * 10).is_cut
