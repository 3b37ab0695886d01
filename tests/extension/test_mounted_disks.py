"""`minehunt triage --root`: trees like the disks of Debian, EL and Alpine, clean and with a miner's traces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.disk_images import DOWNLOAD, IMAGES, MINERS, make_image, plant

LIVE_STEPS = {1, 3, 6, 8, 11}

pytestmark = pytest.mark.root


@pytest.fixture
def disk() -> Iterator[Path]:
    """Where a disk is mounted; outside pytest's own folder, and gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="minehunt-disk-"))
    yield folder
    shutil.rmtree(folder)


def triage(root: Path) -> tuple[int, dict[str, Any]]:
    """Exit status and JSON report of an examination."""
    command = [sys.executable, "-m", "extension", "triage", "--root", str(root), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def found(report: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    """The rows of every detection that has some, by query."""
    queries = [query for step in report["steps"] for query in step["queries"]]
    return {query["name"]: query["rows"] for query in queries if query["kind"] == "detection" and query["rows"]}


@pytest.mark.parametrize("name", IMAGES)
def test_a_stock_disk_is_silent(name: str, disk: Path) -> None:
    status, report = triage(make_image(disk, name))
    assert found(report) == {}
    steps = {step["step"]: step["status"] for step in report["steps"]}
    assert {number for number, state in steps.items() if state == "not-applicable"} >= LIVE_STEPS
    assert "abnormal" not in {state for number, state in steps.items() if number != 18}
    assert status == 0


@pytest.mark.parametrize("name", IMAGES)
def test_a_miners_traces_are_found(name: str, disk: Path) -> None:
    make_image(disk, name)
    for path, content, _ in MINERS[name]:
        plant(disk, path, content)
    status, report = triage(disk)
    rows = found(report)
    for path, _, query in MINERS[name]:
        assert path in {row["path"] for row in rows.get(query, [])}, (query, sorted(rows))
    assert status == 1
    assert report["summary"]["verdict"] == "compromised"


def test_the_report_is_about_the_disk_and_not_about_this_host(disk: Path) -> None:
    _, report = triage(make_image(disk, "debian"))
    assert report["host"]["hostname"] == "image-of-debian"
    assert report["host"]["system"].startswith("Debian")
    assert report["host"]["root"] == str(disk)


def test_a_baseline_of_a_disk_knows_the_packages_of_the_disk(disk: Path) -> None:
    command = [sys.executable, "-m", "extension", "baseline", "capture", "--root", str(make_image(disk, "debian"))]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    (job,) = [number for number, line in enumerate(lines) if "pattern: '/etc/cron.d/php:" in line]
    assert lines[job - 1] == "    # package cron"


def test_no_link_leads_out_of_the_disk(disk: Path) -> None:
    make_image(disk / "disk", "debian")
    outside = disk / "outside"
    outside.write_text(f"* * * * * root {DOWNLOAD}\n")
    for link, target in {"absolute": str(outside), "relative": "../../../outside", "passwd": "/etc/passwd"}.items():
        os.symlink(target, disk / "disk/etc/cron.d" / link)
    os.symlink(str(disk), disk / "disk/etc/systemd")
    _, report = triage(disk / "disk")
    assert found(report) == {}
    assert str(outside) not in json.dumps(report["steps"])


def test_nothing_on_the_disk_is_run(disk: Path) -> None:
    make_image(disk / "disk", "debian")
    marker = disk / "marker"
    for program in ("dpkg", "rpm", "crontab", "systemctl", "lsattr", "sh", "python3", "getent"):
        plant(disk / "disk", f"/usr/bin/{program}", f"#!/bin/sh\ntouch {marker}\n")
    triage(disk / "disk")
    assert not marker.exists()


def test_a_disk_without_accounts_is_examined_all_the_same(disk: Path) -> None:
    make_image(disk, "debian")
    (disk / "etc/passwd").unlink()
    plant(disk, "/etc/cron.d/job", f"* * * * * root {DOWNLOAD}\n")
    status, report = triage(disk)
    assert status == 1
    assert "cron_download_and_run" in found(report)
    assert any("/etc/passwd" in spot["why"] for spot in report["blind_spots"])


def test_osquery_cannot_examine_a_disk() -> None:
    command = [sys.executable, "-m", "extension", "triage", "--root", "/tmp", "--engine", "osquery"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--root needs the embedded engine" in done.stderr
