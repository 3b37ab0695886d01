"""Manual pages and completions tell of the commands that the packages' program has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from build import manual


def test_each_command_of_the_packages_has_its_page_and_the_others_have_none() -> None:
    pages = manual.pages()
    assert "/usr/share/man/man1/minehunt-triage.1" in pages and "/usr/share/man/man1/minehunt-watch.1" not in pages
    assert all(page.startswith('.TH "MINEHUNT') and '"1" "" "minehunt' in page.splitlines()[0] for page in pages.values())
    assert "--quick" in pages["/usr/share/man/man1/minehunt-triage.1"].replace("\\-", "-")
    assert pages == manual.pages()


def test_the_shells_are_told_commands_queries_and_tables() -> None:
    for path, text in manual.completions().items():
        assert "_MINEHUNT_COMPLETE" in text and "minehunt" in path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("minehunt tri", "triage"),
        ("minehunt explain miner_proc", "miner_process"),
        ("minehunt explain hidden_p", "hidden_processes"),
        ("minehunt tables recent_", "recent_files"),
    ],
)
def test_what_is_begun_is_completed(words: str, expected: str) -> None:
    environment = {
        **os.environ, "_MINEHUNT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1),
    }  # fmt: skip
    code = "import sys; sys.argv[0] = 'minehunt'; from extension.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert f"plain,{expected}" in done.stdout.splitlines(), done.stdout + done.stderr
