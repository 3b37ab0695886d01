"""Miners' configuration files are found beside and named by real processes, in homes and in the usual places."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tables.host import Host
from tables.processes.miner_configs import MinerConfigFile, miner_configs
from tables.reasons.mining.config_search import ConfigSearch
from tables.schema import QueryContext
from tests.support.planted_programs import WAIT, Planter, container_code, copy_shell, fill_root

# Published by xmrig's authors for donations.
XMR = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD"
CONFIG = json.dumps({"donate-level": 1, "pools": [{"url": "pool.supportxmr.com:443", "user": XMR, "pass": "hunter2"}]})


@pytest.fixture
def planter() -> Iterator[Planter]:
    made = Planter()
    yield made
    made.clean()


def rows(host: Host | None = None) -> list[MinerConfigFile]:
    found = miner_configs.generate(host or Host(), QueryContext())
    return [row for row in found if isinstance(row, MinerConfigFile)]


def rows_below(folder: Path, host: Host | None = None) -> list[MinerConfigFile]:
    return [row for row in rows(host) if row.path.startswith(f"{folder}/")]


def write(path: Path, text: str = CONFIG) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def deep(tmp_path: Path) -> Path:
    """A folder too deep in /tmp for anything but a process to lead there."""
    return tmp_path / "a" / "b" / "c"


def test_a_file_beside_a_running_program(tmp_path: Path, planter: Planter) -> None:
    folder = deep(tmp_path)
    path = write(folder / "settings.json")
    pid = planter(copy_shell(folder / "kworkerds"), cwd="/")
    (row,) = rows_below(tmp_path)
    assert (row.path, row.pid, row.process_name, row.exe_path) == (str(path), pid, "kworkerds", str(folder / "kworkerds"))
    assert (row.program, row.pools, row.wallets, row.coin) == ("xmrig", "pool.supportxmr.com:443", XMR, "XMR")
    assert (row.owner_uid, row.mode, row.file_size) == (os.getuid(), "0644", len(CONFIG))
    assert row.sha256 == hashlib.sha256(CONFIG.encode()).hexdigest()
    assert row.mtime == int(path.stat().st_mtime)
    assert row.confidence == "high"
    assert set(row.reasons.split(",")) >= {"beside_program", "listed_pool", "miner_keys", "wallet"}
    assert "hunter2" not in str(row)


def test_a_file_that_a_process_names(tmp_path: Path, planter: Planter) -> None:
    folder = deep(tmp_path)
    path = write(folder / "c")
    pid = planter("/bin/sh", *WAIT, "x", f"--config={path}", cwd="/")
    (row,) = rows_below(tmp_path)
    assert (row.path, row.pid) == (str(path), pid)
    assert "named_by_process" in row.reasons.split(",")


def test_a_relative_name_counts_from_the_working_folder(tmp_path: Path, planter: Planter) -> None:
    folder = deep(tmp_path)
    path = write(folder / "c")
    pid = planter("/bin/sh", *WAIT, "x", "--config", "../c/c", cwd=folder)
    assert [(row.path, row.pid) for row in rows_below(tmp_path)] == [(str(path), pid)]


def test_a_program_in_the_same_working_folder_counts_but_a_shell_does_not(tmp_path: Path, planter: Planter) -> None:
    folder = deep(tmp_path)
    write(folder / "config.json")
    planter("/bin/sh", cwd=folder)
    assert [(row.pid, "in_working_folder" in row.reasons) for row in rows_below(tmp_path)] == [(None, False)]
    pid = planter(copy_shell(tmp_path / "elsewhere" / "x" / "minerd2"), cwd=folder)
    assert [(row.pid, "in_working_folder" in row.reasons) for row in rows_below(tmp_path)] == [(pid, True)]


def test_a_wrong_checksum_and_a_database_beside_a_program_are_silent(tmp_path: Path, planter: Planter) -> None:
    folder = deep(tmp_path)
    write(folder / "config.json", '{"pools": [{"url": "db1.internal:5432", "user": "%s", "pass": "x"}]}' % (XMR[:-1] + "E"))
    planter(copy_shell(folder / "server"), cwd=folder)
    assert rows_below(tmp_path) == []


@pytest.mark.root
def test_a_file_in_a_container_is_read_through_its_process(tmp_path: Path, planter: Planter) -> None:
    fill_root(tmp_path, "/opt/app/worker")
    write(tmp_path / "opt" / "app" / "config.json")
    write(tmp_path / "home" / "app" / ".xmrig.json", CONFIG.replace("supportxmr", "other"))
    write(tmp_path / "etc" / "passwd", "app:x:1000:1000::/home/app:/bin/sh\n")
    pid = planter.python(container_code(tmp_path, "/opt/app/worker", "worker"))
    found = {(row.path, row.pid) for row in rows() if row.wallets == XMR}
    assert {("/opt/app/config.json", pid), ("/home/app/.xmrig.json", None)} <= found


def test_files_in_dot_folders_of_temporary_folders_are_found_under_any_name() -> None:
    with tempfile.TemporaryDirectory(prefix=".minehunt-test-", dir="/dev/shm") as name:
        path = write(Path(name, ".x", "c"))
        os.mkfifo(Path(name, "config.json"))
        Path(name, "link.json").symlink_to("/dev/zero")
        (row,) = rows_below(Path(name))
    assert (row.path, row.pid, row.confidence) == (str(path), None, "high")
    assert set(row.reasons.split(",")) >= {"temp_folder", "hidden_path"}


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A mounted disk with two users."""
    write(tmp_path / "etc" / "passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n")
    return tmp_path


def found_on(disk: Path) -> dict[str, tuple[str, str]]:
    return {row.path: (row.confidence, row.reasons) for row in rows(Host(str(disk)))}


def test_the_places_of_a_mounted_disk(disk: Path) -> None:
    for path in (
        "home/alice/.xmrig.json",
        "root/.config/xmrig.json",
        "etc/xmrig/config.json",
        "opt/m/config.json",
        "var/tmp/.a/.b/x",
    ):
        write(disk / path)
    write(disk / "opt" / "a" / "b" / "c" / "d" / "config.json")
    assert set(found_on(disk)) == {
        "/home/alice/.xmrig.json",
        "/root/.config/xmrig.json",
        "/etc/xmrig/config.json",
        "/opt/m/config.json",
        "/var/tmp/.a/.b/x",
    }


def test_sources_templates_and_notes_have_low_confidence(disk: Path) -> None:
    write(disk / "root" / "xmrig" / "CMakeLists.txt", "project(xmrig)")
    write(disk / "root" / "xmrig" / "src" / "config.json")
    template = {"donate-level": 1, "pools": [{"url": "donate.v2.xmrig.com:3333", "user": "YOUR_WALLET_ADDRESS"}]}
    write(disk / "opt" / "xmrig" / "config.json", json.dumps(template))
    write(disk / "root" / "notes.txt", f"seen on web3:\n./kw -o 203.0.113.7:443 -u {XMR} -k\n")
    write(disk / "opt" / "proxy" / "config.json", json.dumps({**template, "pools": [{"url": "10.0.0.5:3333", "user": "x"}]}))
    found = found_on(disk)
    assert {path: confidence for path, (confidence, _) in found.items()} == {
        "/root/xmrig/src/config.json": "low",
        "/opt/xmrig/config.json": "low",
        "/root/notes.txt": "low",
        "/opt/proxy/config.json": "medium",
    }
    assert "source_tree" in found["/root/xmrig/src/config.json"][1]
    assert "template" in found["/opt/xmrig/config.json"][1]


def test_honest_files_in_the_same_places_are_silent(disk: Path) -> None:
    write(disk / "etc" / "docker" / "daemon.json", '{"default-address-pools": [{"base": "172.80.0.0/16", "size": 24}]}')
    write(disk / "etc" / "monerod.conf", "data-dir=/var/lib/monero\nrpc-bind-port=18081\nadd-peer=203.0.113.4:18080\n")
    write(disk / "opt" / "app" / "package.json", '{"name": "pool-dashboard", "dependencies": {"stratum": "1.0"}}')
    write(disk / "opt" / "app" / "config.json", '{"pools": [{"url": "db1.internal:5432", "user": "app"}]}')
    write(disk / "root" / ".bash_history", f"./xmrig -o 203.0.113.7:443 -u {XMR} -k\n")
    write(disk / "tmp" / "big.json", '{"text": "' + "x" * (1 << 20) + '"}')
    assert found_on(disk) == {}


def test_a_file_that_changed_is_read_again_and_one_that_did_not_is_the_same(disk: Path) -> None:
    host = Host(str(disk))
    path = write(disk / "opt" / "m" / "config.json")
    first, again = rows(host), rows(host)
    assert first == again
    write(path, CONFIG.replace("pool.supportxmr.com", "other.example"))
    assert [row.pools for row in rows(host)] == ["other.example:443"]
    path.unlink()
    assert rows(host) == []


def test_a_link_out_of_a_mounted_disk_is_not_followed(disk: Path) -> None:
    # Gone with the test: on the running system the file would be a finding.
    with tempfile.TemporaryDirectory(prefix="minehunt-test-") as folder:
        outside = write(Path(folder) / "config.json")
        (disk / "opt").mkdir()
        (disk / "opt" / "config.json").symlink_to(outside)
        (disk / "opt" / "m").symlink_to(outside.parent)
        assert found_on(disk) == {}


def test_a_folder_full_of_files_takes_its_share_of_the_time_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "etc/miner/config.json")
    for number in range(60):
        write(tmp_path / f"tmp/{number}.json", f'{{"the number is": {number}}}')
    read = ConfigSearch._read

    def slowly(search: ConfigSearch, path: str, *status: os.stat_result) -> None:
        time.sleep(0.05 if path.startswith("/tmp/") else 0)
        read(search, path, *status)

    monkeypatch.setattr(ConfigSearch, "_read", slowly)
    query = QueryContext(budget_seconds=2.0)
    found = list(miner_configs.generate(Host(str(tmp_path)), query))
    assert [row.path for row in found if isinstance(row, MinerConfigFile)] == ["/etc/miner/config.json"]
    assert query.truncated is not None and "out of time in /tmp" in query.truncated
