"""`make dist`: everything or nothing, the same bytes every time, and one line for whatever is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from build import deliver, dist, fleet, osquery_pack
from build.siem import rules

# What is built is downloaded first: the others have no network.
pytestmark = pytest.mark.alone
REPOSITORY = Path(__file__).parents[2]
DELIVERABLES = {
    "minehunt.ext",
    "osquery/cryptominer_triage.conf",
    "osquery/osquery.conf",
    "osquery/osquery.flags",
    "osquery/extensions.load",
    "fleet/reports.yml",
    "fleet/gitops/lib/minehunt.policies.yml",
    "siem/queries/splunk.yml",
    "siem/README.md",
    "siem/elastic/kibana_rules.ndjson",
    "siem/elastic/osquery_manager_cryptominer_triage.json",
    "siem/splunk/minehunt/default/savedsearches.conf",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "dist"
    dist.build(folder, with_runtime=False)
    return folder


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the pack that the builders take, to be broken."""
    copy = tmp_path / "packs" / "cryptominer_triage"
    shutil.copytree(deliver.PACK, copy)
    for module in (dist, osquery_pack, fleet, rules):
        monkeypatch.setattr(module, "PACK", copy)
    rules.packs.cache_clear()
    yield copy
    rules.packs.cache_clear()


def fails(output: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *lists: str) -> str:
    """What `make dist` says when it fails; nothing may be left behind."""
    before = sorted(output.parent.iterdir()) if output.parent.is_dir() else []
    monkeypatch.setattr(sys, "argv", ["dist", "--no-runtime", "--output", str(output), *lists])
    assert dist.main() == 1
    assert (sorted(output.parent.iterdir()) if output.parent.is_dir() else []) == before
    return capsys.readouterr().err


def test_all_of_it_is_built_and_summed(built: Path) -> None:
    files = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    assert files >= DELIVERABLES
    assert {Path(name).suffix for name in files if name.startswith("packages/")} == {".deb", ".rpm"}
    done = subprocess.run(["sha256sum", "--strict", "--check", "SHA256SUMS"], cwd=built, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": OK") == len(files) - 1


def test_the_same_commit_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    dist.build(tmp_path / "again", with_runtime=False)
    assert (tmp_path / "again/SHA256SUMS").read_text() == (built / "SHA256SUMS").read_text()


def test_what_was_there_before_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/old").touch()
    for module, name in ((dist.extension, "build"), (dist.packages, "pack")):
        monkeypatch.setattr(module, name, lambda *_: None)
    dist.build(tmp_path / "dist", with_runtime=False)
    assert not (tmp_path / "dist/old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("severity: critical", "severity: extreme", "unknown severity 'extreme'"),
        ("  hidden_processes:", "  miner_process:", "'miner_process' is used 2 times"),
        ("step: 11", "step: [11", "not valid YAML"),
        ("interval: 300", "interval: 0", "outside 1..604800"),
    ],
)
def test_a_broken_pack_is_told_with_file_and_line(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    file = pack / "11_hidden_processes.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    message = fails(tmp_path / "out", capsys, monkeypatch)
    assert said in message
    assert f"{file}:" in message


def test_an_indicator_list_with_junk_is_told_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("pool.example\n???\n")
    message = fails(tmp_path / "out", capsys, monkeypatch, str(bad))
    assert "bad.txt" in message and "line 2" in message


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert str(tmp_path / "file/dist") in fails(tmp_path / "file/dist", capsys, monkeypatch)


def test_a_missing_tool_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("build.packages.Path.exists", lambda path: path.name != "nfpm")
    monkeypatch.setattr(dist.extension, "build", lambda folder: Path(shutil.copy(__file__, folder / "minehunt.ext")))
    assert "nfpm: not installed" in fails(tmp_path / "out", capsys, monkeypatch)
