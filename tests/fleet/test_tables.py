"""The lists as tables that fit into a terminal, and as CSV and JSON lines that keep everything."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.cells import cell_len

from extension.fleet.listing import LISTS
from extension.fleet.names import Names
from extension.fleet.report.document import Document
from extension.tabular import as_csv, as_grid
from tests.fleet.looking import miner, reported

T = 1795436552


@pytest.mark.parametrize("columns", [80, 100, 120])
@pytest.mark.parametrize("name", LISTS)
def test_a_table_fits_and_breaks_no_header(report: Document, name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for language in ("en", "zh"):
        rows = list(LISTS[name](report, language))
        header, *lines = as_grid(rows).splitlines()
        assert header.split() == list(rows[0].brief)
        assert max(map(cell_len, lines)) <= columns
        assert len(lines) <= len(rows) * (8 if columns == 80 else 6)


def test_a_table_shortens_and_the_other_forms_do_not(tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    report = reported(tmp_path, names, [miner(f"web-{n}", T + n, wallet="4" * 95, exe_sha256="e" * 64) for n in range(5)])
    (row,) = LISTS["campaigns"](report, "en")
    assert row["all_hosts"] == "web-0 web-1 web-2 web-3 web-4" and "e" * 64 in row["shares"] and row["began"][-1] == "Z"
    assert row.brief["all_hosts"] == "web-0, web-1 +3" and row.brief["began"] == "2026-11-23 12:22"
    ((header, value),) = [pair for pair in zip(*csv.reader(io.StringIO(as_csv([row])))) if pair[0] == "all_hosts"]
    assert (header, value) == ("all_hosts", row["all_hosts"])
    assert "web-0, web-1 +3" in as_grid([row]) and "e" * 20 not in as_grid([row])


def test_a_key_is_in_a_table_only_where_names_are_ambiguous(tmp_path: Path, names: Names) -> None:
    lines = [miner(f"h{n}", T + n, wallet="4wallet") for n in range(3)]
    for number, each in enumerate(lines[:2]):
        uuid = f"{number}ac52560-5717-4562-b3fc-2c963f66afa6"
        each.update(hostIdentifier=uuid, decorations={"host_uuid": uuid, "hostname": "localhost"})
    table = as_grid(list(LISTS["hosts"](reported(tmp_path, names, lines), "en")))
    assert [line.split("  ")[0] for line in table.splitlines()[1:]] == ["h2", "localhost [0ac52560]", "localhost [1ac52560]"]


def test_a_table_gives_words_their_room_and_the_rest_to_the_longest_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table = as_grid([{"campaign": "C1", "began": "2026-11-25 11:55", "sentence": "it mines and mines on and on"}])
    assert [line.rstrip() for line in table.splitlines()] == [
        "campaign  began       sentence",
        "C1        2026-11-25  it mines and mines",
        "          11:55       on and on",
    ]
    monkeypatch.setenv("COLUMNS", "12")
    assert "campaign" not in as_grid([{"campaign": "C1", "began": "now", "sentence": "x"}]), "headers alone do not fit"
