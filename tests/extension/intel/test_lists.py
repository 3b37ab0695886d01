"""`import`, `check` and `show`: what becomes of good, bad and mixed files, and what the exit status says of it."""

from __future__ import annotations

import datetime
import json
import os
import stat
from pathlib import Path

import pytest

from extension.cli import main
from extension.intel.store import write
from tables.host import Host
from tables.host.network.sockets import endpoint_token
from tables.host.settings import Settings
from tables.indicators.networks import parse_address
from tables.indicators.pools import pool_indicators
from tests.extension.intel.conftest import Intel
from tests.support.command_line import runner

TODAY = datetime.datetime.now(datetime.timezone.utc).date()


def days_ago(days: int) -> str:
    return (TODAY - datetime.timedelta(days)).isoformat()


def planted(path: Path, *lines: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o644)
    return path


def test_an_imported_feed_is_in_force_with_all_that_is_known_of_it(
    intel: Intel, config: Path, lists: Path, tmp_path: Path
) -> None:
    feed = planted(
        tmp_path / "campaign.txt", "hxxp://pool[.]evil[.]com", "pool.evil.com", "5.189.171.187:3333", "10.0.0.1", "3.120.209.58:1"
    )
    result = intel(
        "import",
        feed,
        "--source",
        "https://soc.example/feed",
        "--licence",
        "CC0-1.0",
        "--confidence",
        "high",
        "--date",
        "2026-10-01",
    )
    assert result.exit_code == 0, result.output
    assert "campaign: 2 entries, 1 duplicates, 2 refused (1 a private address; 1 in a range that amazon-aws" in result.output
    assert "line 4: '10.0.0.1': a private address" in result.stderr
    path = lists / "campaign.txt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 and path.stat().st_uid == os.geteuid()
    assert os.listdir(lists) == ["campaign.txt"]
    indicators = pool_indicators(Host(settings=Settings(config=str(config))))
    found = indicators.match(endpoint_token(parse_address("5.189.171.187"), 3333), True)
    assert found is not None and (found.match_type, found.confidence) == ("ip_port", "high")
    header = indicators.lists[-1].header
    assert (header.feed, header.date, header.imported, header.licence) == ("campaign", "2026-10-01", TODAY.isoformat(), "CC0-1.0")


def test_shared_ranges_are_imported_as_such_and_refuse_what_comes_later(intel: Intel, lists: Path, tmp_path: Path) -> None:
    ranges = planted(tmp_path / "ours.json", json.dumps({"type": "cidr", "version": 20261101, "list": ["5.189.0.0/16"]}))
    assert intel("import", ranges).exit_code == 0
    assert "# kind: shared\n# version: 20261101\n# date: 2026-11-01\n" in (lists / "ours.txt").read_text()
    result = intel("import", planted(tmp_path / "pools.txt", "5.189.171.187:3333", "evil.com"), "--strict")
    assert result.exit_code == 1 and "a range that ours shares" in result.output
    assert "evil.com\n" in (lists / "pools.txt").read_text()


def test_junk_is_named_and_counted_and_the_rest_imported(intel: Intel, lists: Path, tmp_path: Path) -> None:
    feed = planted(tmp_path / "f.txt", *[f"what is {number} \x1b[31m?" for number in range(30)], "evil.com")
    result = intel("import", feed)
    assert result.exit_code == 1 and "f: 1 entries, 30 not understood" in result.output
    assert "line 10: " in result.stderr and "… and 20 more" in result.stderr and "line 11: " not in result.stderr
    assert "\x1b" not in result.output
    assert (lists / "f.txt").read_text().endswith("\n\nevil.com\n")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n# nothing\n",
        b"<html>Not found</html>",
        b'{"type": "bundle", "obj',
        b"\xff\xfe\x00\x00" * 50,
        b"10.0.0.1\n",
        b"\x00" * 4096,
        b"a" * (1 << 20),
    ],
    ids=["empty", "comments", "html", "truncated json", "binary", "private", "nul", "one long line"],
)
def test_nothing_usable_leaves_the_former_list(intel: Intel, lists: Path, tmp_path: Path, content: bytes) -> None:
    former = planted(lists / "feed.txt", "evil.com")
    (tmp_path / "feed.txt").write_bytes(content)
    result = intel("import", tmp_path / "feed.txt")
    assert result.exit_code == 2 and "Error: " in result.stderr
    assert former.read_text() == "evil.com\n" and os.listdir(lists) == ["feed.txt"]


def test_what_cannot_be_read_or_written_is_an_error(intel: Intel, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    good = planted(tmp_path / "good.txt", "evil.com")
    (tmp_path / "file").write_text("")
    (tmp_path / "stdout").symlink_to("/dev/null")
    for arguments, message in (
        ((tmp_path / "none.txt",), "No such file"),
        ((tmp_path / "fifo",), "not a regular file"),
        ((good, "--output", tmp_path / "file" / "x.txt"), "x.txt"),
        ((good, "--output", tmp_path / "stdout"), "no regular file"),
        ((good, "--name", "../x"), "cannot be the name"),
        ((good, "--date", "tomorrow"), "no day"),
    ):
        result = intel("import", *arguments)
        assert result.exit_code == 2 and message in result.stderr, result.stderr


def test_a_list_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = planted(tmp_path / "lists" / "a.txt", "former")
    with pytest.raises(UnicodeEncodeError):
        write(path, "new\n" * 100_000 + "\udc80")
    assert path.read_text() == "former\n" and os.listdir(path.parent) == ["a.txt"]


def test_check_is_content_with_what_import_wrote(intel: Intel, tmp_path: Path) -> None:
    assert intel("import", planted(tmp_path / "a.txt", "evil.com:3333", "5.189.171.187:3333")).exit_code == 0
    result = intel("check")
    assert result.exit_code == 0 and "1 lists, 0 problems" in result.stderr


def test_check_names_every_problem_with_file_and_line(intel: Intel, lists: Path) -> None:
    path = planted(
        lists / "ours.txt",
        "# confidence: certain",
        f"# date: {days_ago(91)}",
        "evil.com",
        "what?",
        "EVIL.com",
        "192.168.1.1:3333",
        "104.16.1.1",
        "co.uk",
        f"5.189.171.187:3333  # resolved evil.com {days_ago(100)}",
    )
    result = intel("check")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{path}, line 1: malformed: confidence must be one of high, medium, low: 'certain'",
        f"{path}, line 2: stale: the list of this file: 91 days old, more than 90",
        f"{path}, line 4: malformed: no domain, IP address, CIDR, domain:port or ip:port: 'what?'",
        f"{path}, line 5: duplicate: evil.com is on line 3 already",
        f"{path}, line 6: unfit: 192.168.1.1:3333: a private address",
        f"{path}, line 7: unfit: 104.16.1.1: in a range that cloudflare shares between its customers",
        f"{path}, line 8: unfit: co.uk: a public suffix, below which anybody may have a name",
        f"{path}, line 9: stale: 5.189.171.187:3333 was resolved 100 days ago",
    ]
    assert intel("check", "--max-age", 200).stdout.count("stale") == 0


def test_check_takes_files_and_goes_by_their_change_where_they_have_no_date(intel: Intel, tmp_path: Path) -> None:
    path = planted(tmp_path / "old.txt", "evil.com")
    assert intel("check", path).exit_code == 0
    os.utime(path, (0, 0))
    result = intel("check", path, tmp_path / "none.txt")
    assert result.exit_code == 1
    assert f"{path}: stale: the list of this file: " in result.stdout and "unreadable" in result.stdout


def test_show_lists_what_is_in_force(intel: Intel, lists: Path) -> None:
    planted(
        lists / "ours.txt",
        "# feed: soc",
        f"# date: {days_ago(5)}",
        "# licence: MIT",
        "evil.com",
        "5.189.171.187",
        "5.189.171.187:1",
    )
    text = intel("show")
    assert text.exit_code == 0 and f"soc (pools): 1 domain, 1 ip, 1 ip_port; {days_ago(5)}, 5 days old" in text.output
    shown = json.loads(intel("show", "--format", "json").stdout)
    assert [each["name"] for each in shown][-1] == "soc" and shown[-1]["age_days"] == 5 and shown[-1]["licence"] == "MIT"
    assert shown[0]["path"] is None and shown[0]["entries"]["domain"] > 100
    planted(lists / "broken.txt", "what?")
    broken = intel("show")
    assert broken.exit_code == 2 and "broken.txt, line 1" in broken.stderr


def test_a_hundred_thousand_entries_are_imported(intel: Intel, lists: Path, tmp_path: Path) -> None:
    lines = [f"pool{number}.evil{number % 977}.com" for number in range(50_000)]
    lines += [f"5.{number // 65536}.{number // 256 % 256}.{number % 256}:{number % 65535 + 1}" for number in range(50_000)]
    result = intel("import", planted(tmp_path / "big.txt", *lines))
    assert result.exit_code == 0 and "big: 100000 entries\n" in result.output
    assert sum(1 for line in (lists / "big.txt").open() if not line.startswith("#")) == 100_001


def test_the_help_names_every_command() -> None:
    output = runner().invoke(main, ["intel", "--help"]).output
    assert all(f"\n  {name} " in output for name in ("check", "import", "resolve", "show", "update"))
