"""The table shows what is in force, and fails rather than show a list that others may write."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest

from extension.engines import EngineError
from extension.engines.embedded import EmbeddedEngine
from tables.errors import TableError
from tables.host import Host
from tables.host.settings import Settings
from tables.indicators.known_good_list import known_good_entries
from tables.schema import QueryContext
from tables.status.known_good import known_good
from tests.support.scans import unseen_by

ONE = "known_good:\n  process:\n    - pattern: '/opt/[[]x]/*'\n      note: ours\n"


def rows(host: Host) -> list[dict[str, str]]:
    return [row.to_wire() for row in known_good.generate(host, QueryContext())]


def listed(path: Path, text: str = ONE) -> Host:
    path.write_text(text)
    return Host(settings=Settings(known_good=str(path)))


def test_an_entry_is_a_row_with_its_file_and_line(tmp_path: Path) -> None:
    host = listed(tmp_path / "list.yaml")
    assert rows(host) == [
        {
            "category": "process",
            "pattern": "/opt/[[]x]/*",
            "note": "ours",
            "list_path": str(tmp_path / "list.yaml"),
            "list_line": "3",
        }
    ]
    assert unseen_by(known_good, host) == ()


def test_files_of_the_folder_beside_it_are_read_too_in_order(tmp_path: Path) -> None:
    (tmp_path / "list.d").mkdir()
    for name in ("20.yaml", "10.yaml"):
        (tmp_path / "list.d" / name).write_text(f"known_good: {{account: [pattern: '{name}']}}\n")
    assert [row["pattern"] for row in rows(listed(tmp_path / "list.yaml"))] == ["/opt/[[]x]/*", "10.yaml", "20.yaml"]


def test_expired_entries_are_left_out_and_counted(tmp_path: Path) -> None:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    days = [today - datetime.timedelta(days=1), today + datetime.timedelta(days=1)]
    text = "known_good:\n  account:\n" + "".join(f"    - {{pattern: u{day}, expires: {day}}}\n" for day in days)
    host = listed(tmp_path / "list.yaml", text)
    assert [row["pattern"] for row in rows(host)] == [f"u{days[1]}"]
    assert unseen_by(known_good, host) == ("1 entries have expired and count no more",)


def test_a_site_without_a_list_has_no_rows_but_a_list_that_was_named_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "minehunt.yaml").write_text("{}")
    assert rows(Host(settings=Settings(config=str(tmp_path / "minehunt.yaml")))) == []
    with pytest.raises(TableError, match=r"nowhere\.yaml"):
        rows(Host(settings=Settings(known_good=str(tmp_path / "nowhere.yaml"))))


@pytest.mark.parametrize("mode", [0o666, 0o602])
def test_a_list_that_others_may_write_is_refused_by_name(tmp_path: Path, mode: int) -> None:
    host = listed(tmp_path / "list.yaml")
    (tmp_path / "list.yaml").chmod(mode)
    with pytest.raises(TableError, match=r"list\.yaml: refused: writable by others"):
        rows(host)


@pytest.mark.root
def test_a_list_of_another_account_is_refused_by_name(tmp_path: Path) -> None:
    host = listed(tmp_path / "list.yaml")
    os.chown(tmp_path / "list.yaml", 65534, 65534)
    with pytest.raises(TableError, match=r"list\.yaml: refused: owned by uid 65534"):
        rows(host)


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "."):
        with pytest.raises(TableError, match="not a regular file"):
            rows(Host(settings=Settings(known_good=str(tmp_path / name))))


def test_a_list_that_is_refused_fails_the_query_instead_of_finding_nothing(tmp_path: Path) -> None:
    host = listed(tmp_path / "list.yaml", "known_good:\n  process:\n    - pattern: '*'\n")
    engine = EmbeddedEngine(host)
    with pytest.raises(EngineError, match=r"list\.yaml, line 3: .*everything"):
        engine.query("SELECT pid FROM processes p WHERE NOT EXISTS (SELECT 1 FROM known_good k WHERE p.path GLOB k.pattern)")
    engine.close()


def test_a_changed_list_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    host = listed(path)
    assert known_good_entries(host) is known_good_entries(host)
    path.write_text(ONE.replace("opt", "srv"))
    assert [row["pattern"] for row in rows(host)] == ["/srv/[[]x]/*"]


def test_the_list_belongs_to_the_analysts_machine_also_for_a_mounted_image(tmp_path: Path) -> None:
    evil = tmp_path / "image/etc/minehunt"
    evil.mkdir(parents=True)
    (evil / "known_good.yaml").write_text(ONE.replace("opt", "evil"))
    path = tmp_path / "list.yaml"
    path.write_text(ONE)
    assert [row["pattern"] for row in rows(Host(str(tmp_path / "image"), Settings(known_good=str(path))))] == ["/opt/[[]x]/*"]
    (tmp_path / "minehunt.yaml").write_text("{}")
    assert rows(Host(str(tmp_path / "image"), Settings(config=str(tmp_path / "minehunt.yaml")))) == []


def test_a_null_key_is_never_covered(tmp_path: Path) -> None:
    engine = EmbeddedEngine(listed(tmp_path / "list.yaml"))
    sql = "SELECT x FROM (SELECT NULL AS x UNION ALL SELECT '/opt/[x]/y' UNION ALL SELECT '/opt/x/y') WHERE NOT EXISTS"
    found = engine.query(sql + " (SELECT 1 FROM known_good k WHERE k.category = 'process' AND x GLOB k.pattern)")
    assert found == [{"x": ""}, {"x": "/opt/x/y"}]
    engine.close()
