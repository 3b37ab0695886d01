from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.text.code_calls import started_by


@pytest.mark.parametrize(
    ("code", "commands"),
    [
        ("import os\nos.system('id -u')\n", ["id -u"]),
        ('os.popen("a b").read()', ["a b"]),
        ("subprocess.run(['/bin/sh', '-c', 'x | y'], check=True)", ["/bin/sh -c 'x | y'"]),
        ("subprocess.Popen(\n    [\n        '/usr/bin/x',\n        '-q',\n    ]\n)", ["/usr/bin/x -q"]),
        ("check_output(r'x')", ["x"]),
        ("os.execl('/bin/sh', 'sh', '-c', 'x')", ["/bin/sh -c x"]),
        ("os.execvp('x', ['y', 'z'])", ["x z"]),
        ('system "/bin/sh", "-c", \'x\';', ["/bin/sh -c x"]),
        ("my $x = `uname -a`;", ["uname -a"]),
        ("qx{uname -a}; qx/ls/", ["uname -a", "ls"]),
        ("x = %x(uname -a)", ["uname -a"]),
        ("<?php shell_exec('id'); passthru(\"ls\");", ["id", "ls"]),
        ("require('child_process').spawn('sh', ['-c', 'x'])", ["sh -c x"]),
        ("execSync(`x y`)", ["x y"]),
        ("os.execute('x')", ["x"]),
        ("# os.system('x')\n  // exec('y')\n", []),
        ("os.system(command)", []),
        ("def system(self): pass\nrun(x, 'y')", []),
        ("os.system('unclosed\n')", []),
        ("system('it\\'s')", ["it's"]),
    ],
)
def test_what_code_starts(code: str, commands: list[str]) -> None:
    assert list(started_by(code)) == commands


@given(st.text(alphabet="os.ytmexc(['\"`\\,])%{}/| \n#", max_size=400))
def test_any_text_is_taken(code: str) -> None:
    list(started_by(code))


def test_bounds() -> None:
    assert len(list(started_by("system('x');" * 5000))) == 1000
    assert list(started_by(" " * (256 * 1024) + "system('x')")) == []
