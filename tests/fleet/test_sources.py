"""Files as they are found: broken lines are counted, named and passed over, and nothing stops the rest."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from extension.cli import main
from extension.fleet import load as loading
from extension.fleet.duck_files import DuckFiles
from extension.fleet.load import NoDataSetError, _move, load
from extension.fleet.names import Names
from extension.fleet.reading import Loaded
from extension.fleet.sources import NoSourceError, discover, is_result_file
from tests.fleet.looking import line

T = 1795436552
GOOD = json.dumps(line("kernel_modules", 0, T, "added", module="a"))
OTHER = json.dumps(line("kernel_modules", 1, T + 1, "added", module="b"))


def _loaded(names: Names, *paths: Path) -> tuple[Loaded, list[str]]:
    engine = DuckFiles(names)
    try:
        loaded = engine.load(discover(map(str, paths))[0])
        rows = engine.run("SELECT row_json->>'module' FROM told JOIN contents USING (number, row_key) ORDER BY 1")
        return loaded, [value for (value,) in rows]
    finally:
        engine.close()


def test_broken_lines_are_named_and_the_rest_is_read(tmp_path: Path, names: Names) -> None:
    path = tmp_path / "osqueryd.results.log"
    path.write_bytes(
        b"\n".join(
            [GOOD.encode(), b'{"name":"cut off", "colu', b"", b"\x00\xff\xfe\x01 junk", b"[1, 2]", b'"text"', OTHER.encode(), b""]
        )
    )
    loaded, rows = _loaded(names, path)
    assert rows == ["a", "b"]
    assert [problem.place for problem in loaded.problems] == [f"{path}:{number}" for number in (2, 4, 5, 6)]
    assert (loaded.lines, loaded.broken) == (6, 4)


def test_all_bytes_are_told_as_read_whatever_became_of_them(tmp_path: Path, names: Names) -> None:
    """Also of files that are read again by Python, and of those that cannot be read."""
    contents = {
        "a.log": GOOD.encode(),
        "b.log": f'{OTHER}\n{{"name":"cut off", "colu'.encode(),
        "c.log.gz": gzip.compress(GOOD.encode())[:40],
        "d.parquet": b"PAR1 and nothing more",
        "e.json": json.dumps({"message": OTHER}, indent=1).encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    told: list[int] = []
    engine = DuckFiles(names)
    try:
        loaded = engine.load(discover([str(tmp_path / "*")])[0], told.append)
    finally:
        engine.close()
    assert told == sorted(told) and told[-1] == loaded.size == sum(map(len, contents.values()))


def test_a_packed_file_that_was_cut_gives_what_is_in_it(tmp_path: Path, names: Names) -> None:
    whole = gzip.compress("\n".join([GOOD] * 500 + [OTHER] * 20_000).encode(), mtime=0)
    path, sane = tmp_path / "a.log.gz", tmp_path / "b.log.gz"
    path.write_bytes(whole[: len(whole) // 2])
    sane.write_bytes(gzip.compress(OTHER.encode()))
    loaded, rows = _loaded(names, path, sane)
    assert set(rows) == {"a", "b"}
    (problem,) = loaded.problems
    assert problem.place.startswith(f"{path}:") and "ends here" in problem.why


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x1f\x8b", b"PAR1 no", bytes(range(256)) * 40, b"\x28\xb5\x2f\xfd", b"["])
def test_what_is_no_log_stops_nothing(tmp_path: Path, names: Names, content: bytes) -> None:
    (tmp_path / "junk.log").write_bytes(content)
    (tmp_path / "sane.log").write_text(GOOD + "\n")
    loaded, rows = _loaded(names, tmp_path)
    assert rows == ["a"]
    assert loaded.files == 2


def test_a_line_of_ten_megabytes(tmp_path: Path, names: Names) -> None:
    path = tmp_path / "x.log"
    path.write_text(
        json.dumps(line("kernel_modules", 0, T, "added", module="m" * 10_000_000)) + "\n" + OTHER + "\n" + "x" * 12_000_000 + "\n"
    )
    loaded, rows = _loaded(names, path)
    assert sorted(map(len, rows)) == [1, 10_000_000]
    assert loaded.broken == 1 and loaded.problems[0].place == f"{path}:3"


def test_values_that_are_signs_of_sql_or_of_a_glob(tmp_path: Path, names: Names) -> None:
    folder = tmp_path / "a'b [x]*"
    folder.mkdir()
    (folder / "osqueryd.results.log").write_text(
        json.dumps(line("kernel_modules", 0, T, "added", module="'; DROP TABLE logged; --")) + "\n"
    )
    assert _loaded(names, folder)[1] == ["'; DROP TABLE logged; --"]


def test_zstandard_in_either_way(tmp_path: Path, names: Names) -> None:
    import pyarrow

    for name, text in (("sane.log.zst", GOOD + "\n"), ("odd.log.zst", OTHER + "\nbroken\n")):
        (tmp_path / name).write_bytes(pyarrow.compress(text.encode(), "zstd", asbytes=True))
    loaded, rows = _loaded(names, tmp_path)
    assert rows == ["a", "b"] and loaded.broken == 1


def test_which_files_are_read(tmp_path: Path) -> None:
    for name in (
        "osqueryd.results.log",
        "osqueryd.results.log.1",
        "a.log-20261123.gz",
        "x.ndjson.zst",
        "y.jsonl",
        "z.parquet",
        "q.json.gz",
    ):
        assert is_result_file(name), name
    for name in ("readme.md", "log", "x.log.bak", "notes.txt", "a.gz"):
        assert not is_result_file(name), name
    (tmp_path / "one.log").write_text(GOOD)
    (tmp_path / "two.log").symlink_to("one.log")
    assert len(discover([str(tmp_path), str(tmp_path / "*.log")])[0]) == 1
    with pytest.raises(NoSourceError, match="no such file"):
        discover([str(tmp_path / "nothing*")])


def test_the_same_file_twice_changes_nothing_in_a_data_set(tmp_path: Path, names: Names) -> None:
    log, copy, data = tmp_path / "a.log", tmp_path / "b.log", tmp_path / "data"
    log.write_text(f"{GOOD}\nbroken\n{OTHER}\n")
    copy.write_text(log.read_text())
    engine = DuckFiles(names)
    try:
        first, known = load(engine, discover([str(log)])[0], data)
        assert (first.lines, first.broken, known) == (3, 1, 0)
        files = sorted(data.rglob("*.parquet"))
        again, known = load(engine, discover([str(copy), str(log)])[0], data)
        assert (again.files, known) == (0, 2)
        assert sorted(data.rglob("*.parquet")) == files and len(files) == 1
    finally:
        engine.close()
    assert "day=2026-11-23" in str(files[0])
    assert _loaded(names, data)[1] == ["a", "b"]


@pytest.mark.parametrize("before", [[], [OTHER]], ids=["the first file", "a later file"])
def test_a_load_that_was_killed_and_is_run_again_counts_nothing_twice(
    before: list[str], tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, log, data = tmp_path / "old.log", tmp_path / "a.log", tmp_path / "data"
    old.write_text("".join(f"{each}\n" for each in before))
    log.write_text(f"{GOOD}\n")
    engine = DuckFiles(names)
    try:
        if before:
            load(engine, discover([str(old)])[0], data)
        with monkeypatch.context() as patched:
            # Killed with the results in their place and the file not told yet.
            patched.setattr(loading, "_move", lambda *places: (_move(*places), os.kill(os.getpid(), signal.SIGINT)))
            with pytest.raises(KeyboardInterrupt):
                load(engine, discover([str(log)])[0], data)
        (data / ".loading-1" / "day=2026-11-23").mkdir(parents=True)
        loaded, known = load(engine, discover([str(log)])[0], data)
    finally:
        engine.close()
    assert (loaded.lines, known) == (1, 0)
    assert not list(data.glob(".loading*"))
    read, rows = _loaded(names, data)
    assert (read.files, read.lines) == (1 + len(before), 1 + len(before)) and rows == ["a", "b"][: 1 + len(before)]


def test_one_load_at_a_time(tmp_path: Path, names: Names) -> None:
    log, data = tmp_path / "a.log", tmp_path / "data"
    log.write_text(f"{GOOD}\n")
    engine = DuckFiles(names)

    def load_too(_done: int) -> None:
        with pytest.raises(NoDataSetError, match="another `fleet load` is at work there"):
            load(engine, discover([str(log)])[0], data)

    try:
        assert load(engine, discover([str(log)])[0], data, load_too)[0].files == 1
        assert load(engine, discover([str(log)])[0], data)[1] == 1
    finally:
        engine.close()
    assert _loaded(names, data)[0].lines == 1


def test_a_url_that_nothing_here_reads_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.fleet.duck_files._HTTPFS", ("LOAD no_such_extension",))
    done = CliRunner().invoke(main, ["fleet", "report", "https://host.example/a.log"])
    assert done.exit_code == 2
    (told,) = done.stderr.splitlines()
    assert told.startswith("Error: https://host.example/a.log: DuckDB reads this with its extension httpfs, which is not here: ")
    assert told.count('"') == 2 and told.endswith(")")


def test_what_cannot_be_loaded_is_no_success(tmp_path: Path) -> None:
    def load(*sources: str) -> Result:
        return CliRunner().invoke(main, ["fleet", "load", *sources, "--into", str(tmp_path / "data")])

    far = load("s3://bucket/a.log")
    assert far.exit_code == 2 and far.stderr.startswith("Error: s3://bucket/a.log: `fleet load` knows files again")
    os.mkfifo(tmp_path / "a.log")
    none = load(str(tmp_path))
    assert none.exit_code == 2 and none.stderr == f"{tmp_path}/a.log: not a regular file\n"
    (tmp_path / "b.log").write_text(f"{GOOD}\n")
    # One of two is something, and once loaded it is there.
    assert load(str(tmp_path)).exit_code == load(str(tmp_path)).exit_code == 0


def test_a_folder_of_other_things_is_no_data_set(tmp_path: Path, names: Names) -> None:
    (tmp_path / "letters.txt").write_text("dear all")
    engine = DuckFiles(names)
    try:
        with pytest.raises(NoDataSetError, match="neither empty nor a data set"):
            load(engine, [], tmp_path)
    finally:
        engine.close()
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_parquet_of_somebody_elses_with_maps(tmp_path: Path, names: Names) -> None:
    import duckdb

    path = tmp_path / "athena.parquet"
    duckdb.sql(f"""COPY (SELECT 'pack/Global/cryptominer_triage_kernel_modules' AS name, 'h' AS hostidentifier,
        {T}::BIGINT AS unixtime, 'added' AS action, MAP {{'module': 'a'}} AS columns) TO '{path}' (FORMAT parquet)""")
    assert _loaded(names, path)[1] == ["a"]


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "extension", "fleet", *arguments], capture_output=True, text=True)

    (tmp_path / "empty.log").touch()
    done = run("report", str(tmp_path / "empty.log"))
    assert done.returncode == 2 and "no result of osquery" in done.stderr and "Traceback" not in done.stderr
    done = run("report", "--engine", "abacus", str(tmp_path / "empty.log"))
    assert done.returncode == 2 and "no engine 'abacus'" in done.stderr


def test_files_that_are_broken_leave_those_that_are_read_with_them_as_they_are(tmp_path: Path, names: Names) -> None:
    for number in range(5):
        text = json.dumps(line("kernel_modules", 0, T, "added", module=f"m{number}")) + "\n"
        (tmp_path / f"osqueryd.results.log.{number}").write_text(text)
    (tmp_path / "osqueryd.results.log.2").write_text("broken\n" + text)
    packed = gzip.compress(text.encode())
    (tmp_path / "osqueryd.results.log.3.gz").write_bytes(packed[: len(packed) - 12])
    loaded, modules = _loaded(names, tmp_path)
    assert modules == ["m0", "m1", "m3", "m4", "m4"]
    assert (loaded.files, loaded.lines) == (6, 6) and loaded.broken >= 1
    told = " ".join(str(problem) for problem in loaded.problems)
    assert "osqueryd.results.log.2:1" in told and "osqueryd.results.log.3.gz" in told


def test_a_report_that_is_interrupted_says_so_and_leaves_nothing(tmp_path: Path, simulated: tuple[Path, object]) -> None:
    command = [sys.executable, "-m", "extension", "fleet", "report", str(simulated[0])]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not list(tmp_path.iterdir()) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "") and errors.strip() == "Error: interrupted"
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_is_told_with_what_helps(simulated: tuple[Path, object]) -> None:
    command = [sys.executable, "-m", "extension", "fleet", "report", "--memory", "8MB", str(simulated[0])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "--memory" in done.stderr and "Traceback" not in done.stderr
