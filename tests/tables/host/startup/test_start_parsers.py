"""The parsers of files that start something: what they find, that any text is survived, and that time is linear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.host.accounts.doas import DoasRule, parse_doas
from tables.host.accounts.polkit import open_authorities, open_rules, spawned_programs
from tables.host.ssh.sshd_settings import Setting
from tables.host.startup.boot_loader import init_programs
from tables.host.startup.log_pipes import parse_apache, parse_rsyslog, parse_syslog_ng
from tables.host.startup.name_services import parse_nsswitch
from tables.host.startup.php_settings import parse_php_settings
from tables.host.startup.sshd_commands import command_of
from tables.host.startup.supervisors import parse_monit, parse_pm2_dump, parse_supervisord
from tables.host.startup.temporary_files import parse_tmpfiles
from tables.host.startup.terminal_tools import parse_screen, parse_tmux, parse_vim

LINE_PARSERS: list[Callable[[str], Iterator[Any]]] = [
    init_programs, open_authorities, open_rules, parse_apache, parse_doas, parse_monit, parse_nsswitch, parse_php_settings,
    parse_rsyslog, parse_screen, parse_supervisord, parse_syslog_ng, parse_tmpfiles, parse_tmux, parse_vim, spawned_programs,
]  # fmt: skip


def test_log_daemons() -> None:
    text = (
        '# binary="/no"\naction(type="omprog"\n binary="/a \\"b\\"")\n$ActionOMProgBinary /c\n'
        "*.* ^/d;f\nif x then ^/e\n*.* |/fifo\n"
    )
    assert list(parse_rsyslog(text)) == [(3, '/a "b"'), (4, "/c"), (5, "/d"), (6, "/e")]
    assert list(parse_syslog_ng('source s {\n program( "/a b");\n};\nfilter f { program("su" type(string)); };')) == [
        (2, "/a b"),
        (4, "su"),
    ]


def test_apache() -> None:
    text = (
        'ErrorLog "||/a \\"b c\\"" x\nCustomLog |/d combined\nCustomLog /log x\nRewriteMap m prg:/e\n'
        'LoadFile /f.so\n#ErrorLog "|/g"\n'
    )
    assert list(parse_apache(text)) == [(1, '/a "b c"', False), (2, "/d", False), (4, "/e", False), (5, "/f.so", True)]


def test_php() -> None:
    text = (
        'auto_prepend_file =\nauto_append_file = none\nauto_prepend_file = "/a b" ; c\nextension=curl\nextension=/c.so\n'
        "php_admin_value[auto_append_file] = /d\nphp_value auto_prepend_file /e\n;auto_append_file=/f\nsendmail_path = /g -t\n"
    )
    assert [tuple(found) for found in parse_php_settings(text)] == [
        (3, "auto_prepend_file", "/a b"),
        (5, "extension", "/c.so"),
        (6, "auto_append_file", "/d"),
        (7, "auto_prepend_file", "/e"),
        (9, "sendmail_path", "/g -t"),
    ]


def test_sshd() -> None:
    found = [
        command_of(Setting(keyword, value, ()))
        for keyword, value in (
            ("subsystem", "sftp /usr/lib/sftp-server -l INFO"),
            ("subsystem", "sftp internal-sftp"),
            ("subsystem", "sftp"),
            ("forcecommand", '"/a \\"b\\""'),
            ("forcecommand", "none"),
            ("authorizedkeyscommand", "/c %u"),
            ("banner", "/d"),
        )
    ]
    assert found == ["/usr/lib/sftp-server -l INFO", "", "", '/a "b"', "", "/c %u", ""]


def test_init_programs() -> None:
    text = (
        'GRUB_CMDLINE_LINUX="quiet init=/a rdinit=/b"\n#GRUB_CMDLINE_LINUX="init=/c"\n  linux /v root=1 init=/d x\n'
        "echo init=/e\nBOOT_IMAGE=/v root=1 init=/f\noptions root=1 init=/g\n"
    )
    assert list(init_programs(text)) == [(1, "/a"), (1, "/b"), (3, "/d"), (5, "/f"), (6, "/g")]


def test_name_services() -> None:
    assert list(parse_nsswitch("# x\npasswd: files sss # y\nhosts: files [!UNAVAIL=return] dns\nbroken\n")) == [
        (2, "files"),
        (2, "sss"),
        (3, "dns"),
    ]


def test_supervisors() -> None:
    text = (
        "[supervisord]\ncommand=/no\n[program:a]\ncommand = /a b ; c\nuser=kim\n[eventlistener:b]\nautostart=False\ncommand:/d\n"
    )
    assert list(parse_supervisord(text)) == [(4, "/a b", "kim", True), (8, "/d", None, False)]
    monit = (
        "# exec /no\n start program = \"/a b\"\n stop program '/c' as uid x\nif x then exec /d\n"
        'check program e with path "/e f"\n'
    )
    assert list(parse_monit(monit)) == [(2, "/a b"), (3, "/c"), (4, "/d"), (5, "/e f")]
    dump = '[{"pm_exec_path": "/a b", "args": ["-x"], "exec_interpreter": "/home/k/.nvm/node"}, {"pm_exec_path": 1}, 2]'
    assert parse_pm2_dump(dump) == ["node '/a b' -x"]
    with pytest.raises(ValueError, match="no JSON"):
        parse_pm2_dump("x")


def test_temporary_files() -> None:
    text = (
        "# f /x\nf\nf+ /etc/cron.d/a 0644 root root - a\\nb\\x20c\nL+! /usr/bin/b - - - - /c\nC /etc/pam.d - - - -\n"
        "d /run/d 2755\n"
        "z '/bin/b sh' ~4755 - -\nw /proc/sys/kernel/core_pattern - - - - |/e %p\n"
        "f~ /etc/profile.d/g - - - - bHM=\nf~ /etc/rc.local - - - - ?\n"
    )
    assert [(found.line, found.judged) for found in parse_tmpfiles(text)] == [
        (3, "echo 'a\nb c' > /etc/cron.d/a"),
        (4, "/c"),
        (5, None),
        (6, None),
        (7, "chmod 4755 '/bin/b sh'"),
        (8, "/e %p"),
        (9, "echo ls > /etc/profile.d/g"),
        (10, None),
    ]


def test_terminal_tools() -> None:
    vim = "\" !no\nsilent! !/a b\nnnoremap x :!/c<CR>\nlet x = system('/d ''e''')\nif a != b\nset invlist!\nau VimEnter * !/f\n"
    assert list(parse_vim(vim)) == [(2, "/a b"), (3, "/c"), (4, "/d 'e'"), (7, "/f")]
    tmux = "# run /no\nrun-shell -b '/a b'\nrun /c\nif-shell \"/d \\\"e\\\"\" 'x'\nset -g status-right '#(/f g) #S'\n"
    assert list(parse_tmux(tmux))[:4] == [(2, "/a b"), (3, "/c"), (4, '/d "e"'), (5, "/f g")]
    screen = "#exec /no\nexec /a b\nscreen -t 'x y' 2 /c d\nscreen 1\nscreen\nbacktick 1 60 60 /e\nexec .!. /f\n"
    assert list(parse_screen(screen)) == [(2, "/a b"), (3, "/c d"), (6, "/e"), (7, "/f")]


@pytest.mark.parametrize(
    ("rule", "is_open"),
    [
        ("return polkit.Result.YES;", True),
        ('if (action.id == "org.freedesktop.policykit.exec") return polkit.Result.YES;', True),
        ('if (action.id.indexOf("org.freedesktop.") == 0) { return "yes"; }', True),
        ('/* subject.isInGroup("sudo") */ return polkit.Result.YES;', True),
        ('if (subject.isInGroup("sudo")) return polkit.Result.YES;', False),
        ('if (action.id == "org.freedesktop.color-manager.create-device") return polkit.Result.YES;', False),
        ("// return polkit.Result.YES;\nreturn polkit.Result.AUTH_ADMIN;", False),
        ('polkit.log("polkit.Result"); return polkit.Result.NO;', False),
    ],
)
def test_polkit_rules_that_ask_nobody(rule: str, is_open: bool) -> None:
    found = list(open_rules(f"// x\npolkit.addRule(function(action, subject) {{\n {rule}\n}});\n"))
    assert [one.line for one in found] == [2] * is_open


def test_polkit_authorities_and_programs() -> None:
    text = (
        "[a]\nIdentity=unix-user:*\nAction=*\nResultAny=yes\n[b]\nIdentity=unix-group:sudo\nAction=*\nResultActive=yes\n"
        "[c]\nIdentity=unix-user:*\nAction=org.x.color\nResultAny=yes\n[d]\nIdentity=unix-user:*\nAction=*\nResultAny=auth_admin\n"
    )
    assert [found.line for found in open_authorities(text)] == [1]
    assert list(spawned_programs('x\npolkit.spawn(["/a", \'b c\', d]);\n// polkit.spawn(["/no"])\n')) == [(2, ["/a", "b c"])]


def test_doas_rules() -> None:
    text = "# permit x\npermit nopass setenv { A B=c } :wheel\npermit www-data as root cmd /a args b\ndeny x\npermit\n"
    assert list(parse_doas(text)) == [
        DoasRule(2, ":wheel", True, "root", "", "permit nopass setenv { A B=c } :wheel"),
        DoasRule(3, "www-data", False, "root", "/a", "permit www-data as root cmd /a args b"),
    ]


_WORDS = (
    "run ", "system(", "exec", "silent !", "#(", "init=", "linux ", "options ", "permit", "nopass", "setenv {",
    "polkit.addRule", "polkit.spawn([", "Result.YES", "binary=", "program(", "[program:a]\n", "command=",
    "start program", "check program x", "[x:y", "CustomLog ", "RewriteMap", "ExtFilterDefine x", "LoadFile", "f+ ",
    "f+ /etc/cron.d/a ", "passwd:", "passwd: [", "screen ",
    "auto_prepend_file", "extension=", "/*", "//", "action=", "run-shell -b", "if-shell ",
)  # fmt: skip
_FILLERS = (" ", "\t", '"', "'", "\\", "a", "/", "(", "#(", "|", "{", "[", ";", '\\"', "| !", "-a ", "<CR>")
_PARTS = (*"\"'\\|!#()[]{};:=^,/ \t\n~%", *_WORDS)


@pytest.mark.parametrize("parser", LINE_PARSERS)
@settings(max_examples=60, deadline=None)
@given(text=st.lists(st.sampled_from(_PARTS), max_size=60).map("".join))
def test_any_text_is_survived(parser: Callable[[str], Iterator[Any]], text: str) -> None:
    for found in parser(text):
        line = found.line if hasattr(found, "line") else found[0]
        assert 1 <= line <= text.count("\n") + 1
        getattr(found, "judged", None)


@pytest.mark.parametrize("parser", LINE_PARSERS)
def test_time_is_linear(parser: Callable[[str], Iterator[Any]]) -> None:
    for word in (*_WORDS, ""):
        for filler in _FILLERS:
            for text in (word + filler * 8000, (word + filler) * 2000):
                start = time.process_time()
                for found in parser(text):
                    getattr(found, "judged", None)
                assert time.process_time() - start < 0.5, (word, filler)
