from __future__ import annotations

from typing import Optional

import pytest

from tables.text.package_scripts import Project, project_run, project_scripts

_INSTALL = ("preinstall", "install", "postinstall", "prepare")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("npm start", Project("package.json", ("prestart", "start", "poststart"))),
        ("npm --prefix /srv/a run x:y -- --z", Project("/srv/a/package.json", ("prex:y", "x:y", "postx:y"))),
        ("npm ci --omit=dev", Project("package.json", _INSTALL)),
        ("yarn --cwd=/srv/a", Project("/srv/a/package.json", _INSTALL)),
        ("yarn serve", Project("package.json", ("preserve", "serve", "postserve"))),
        ("npm exec x", None),
        ("composer x", Project("composer.json", ("prex", "x", "postx"))),
        ("pip install -q ./a", Project("./a/setup.py", ())),
        ("pip3 install requests", None),
        ("node start", None),
    ],
)
def test_what_is_run_of_a_project(command: str, expected: Optional[Project]) -> None:
    name, *arguments = command.split()
    assert project_run(name, arguments) == expected


def test_the_scripts_of_a_project() -> None:
    text = '{"scripts": {"start": "node a", "x": ["@php b", "A\\\\B::c", "d"], "n": 1,},}'
    assert project_scripts(text, ("start", "x", "n", "missing")) == "node a\nphp b\nd"
    assert (
        project_scripts("[]", ("start",)) == project_scripts('{"scripts": []}', ("start",)) == project_scripts("{", ("a",)) == ""
    )
