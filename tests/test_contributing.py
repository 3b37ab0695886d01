"""CONTRIBUTING is true: its steps make a table, a query and an indicator, and what it names is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")

TABLE = '''"""How many files lie in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tables.host import Host
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table


@dataclass(frozen=True)
class FolderCount(Row):
    """One folder."""

    folder: str = column(TEXT, "the folder")
    files: int = column(BIGINT, "entries in it")


@table(
    "folder_counts",
    FolderCount,
    description="How many files lie in a folder.",
    sop_steps=(12,),
    examples=["SELECT folder, files FROM folder_counts"],
)
def folder_counts(host: Host, query: QueryContext) -> Iterator[FolderCount]:
    """One row for /etc."""
    yield FolderCount(folder="/etc", files=len(host.files.names("/etc")))
'''
QUERY = """
  crowded_folder:
    kind: detection
    severity: low
    attack: [T1564]
    interval: 3600
    snapshot: false
    needs_root: false
    title: {en: Crowded folder, zh: 拥挤的目录}
    stage: execution
    things: {file: folder}
    says: {en: the crowded folder <folder>, zh: 拥挤的目录 <folder>}
    description: {en: A folder holds too many files., zh: 目录中的文件过多。}
    response: [{phase: preserve, text: {en: Look into <folder>., zh: 检查 <folder>。}, command: ls -la <folder>}]
    false_positives: [{en: A busy folder., zh: 繁忙的目录。}]
    known_good: {file: folder}
    sql: |
      SELECT folder, 'holds too many files' AS evidence FROM folder_counts WHERE files > 100000 AND {known_good}
"""
CASES = """
crowded_folder:
  - fires: a folder that is full
    host: debian_12_web
    plant: {folder_counts: [{folder: /etc, files: 100001}]}
    rows: [{folder: /etc}]
  - {silent: a folder at the limit, host: debian_12_web, plant: {folder_counts: [{folder: /etc, files: 100000}]}}
  - {silent: an empty folder, host: el9_server, plant: {folder_counts: [{folder: /etc, files: 0}]}}
  - {silent: no folder, host: el9_server, plant: {}}
  - silent: a full folder that the site lists
    host: el9_server
    plant: {folder_counts: [{folder: /etc, files: 100001}], known_good: [{category: file, pattern: /etc}]}
"""
PATTERN = """
  - name: example_pattern
    description: Frobnicates.
    view: command
    pattern: '^frobnicate-miners\\b'
    must_match: ['frobnicate-miners --now']
    must_not_match: ['echo frobnicate-miners']
    source: CONTRIBUTING
    date: 2026-11-28
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository to which the three things were added as CONTRIBUTING says."""
    folder = tmp_path_factory.mktemp("contributing")
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    (folder / "tables/files/folder_counts.py").write_text(TABLE, encoding="utf-8")
    for name, text in (
        ("packs/cryptominer_triage/12_recent_files.yaml", QUERY),
        ("tests/packs/cases/12_recent_files.yaml", CASES),
        ("tables/indicators/data/command_patterns.yaml", PATTERN),
    ):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(text)
    return folder


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_table_is_one_file(checkout: Path) -> None:
    answer = run(checkout, "extension", "query", "--engine", "embedded", "--format", "json", "SELECT * FROM folder_counts").stdout
    assert json.loads(answer) == [{"folder": "/etc", "files": str(len(os.listdir("/etc")))}]
    run(checkout, "build.docs")
    assert "## folder_counts" in (checkout / "tables/README.md").read_text(encoding="utf-8")


def test_a_query_is_yaml_with_its_cases(checkout: Path) -> None:
    assert "nothing wrong" in run(checkout, "extension", "pack", "check").stdout
    run(checkout, "pytest", "-q", "-p", "no:cacheprovider", "tests/packs", "-k", "crowded_folder")
    assert "`crowded_folder`" in (run(checkout, "build.docs") and (checkout / "packs/README.md").read_text(encoding="utf-8"))


def test_an_indicator_is_an_entry_with_its_samples(checkout: Path) -> None:
    run(checkout, "pytest", "-q", "-p", "no:cacheprovider", "tests/tables/reasons/test_commands.py", "-k", "example_pattern")
    code = "from tables.reasons.commands import command_reasons; print(command_reasons('sudo frobnicate-miners --now'))"
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "['example_pattern']", done.stderr


def test_a_copy_of_the_tree_below_tmp_is_no_find(checkout: Path) -> None:
    sql = f"SELECT path, reasons FROM miner_configs WHERE path LIKE '{checkout}/%' AND confidence <> 'low'"
    assert json.loads(run(checkout, "extension", "query", "--engine", "embedded", "--format", "json", sql).stdout) == []


def test_every_list_of_indicators_is_named() -> None:
    files = {path.name for path in (REPOSITORY / "tables/indicators/data").glob("*.yaml")}
    assert files <= set(re.findall(r"`([a-z_]+\.yaml)`", TEXT))


def test_every_place_that_is_named_exists() -> None:
    for name in re.findall(r"`((?:tables|tests|packs|build|host|text|reasons|indicators)/[\w/.]*)`", TEXT):
        if "<" not in name:
            assert (REPOSITORY / name).exists() or (REPOSITORY / "tables" / name).exists(), name


def test_every_entry_of_every_list_has_its_source() -> None:
    for path in sorted((REPOSITORY / "tables/indicators/data").glob("*.yaml")):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path.name
