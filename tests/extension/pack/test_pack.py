"""The pack model and its checks: what is shipped is right, and what is wrong is named with file and line."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extension.pack.check import check_pack
from extension.pack.model import Pack, PackError, load_pack
from extension.pack.reported import silent_reasons
from tables import discover
from tables.persistence.scheduled_jobs import ScheduledJob
from tables.schema import TEXT, Words, column
from tests.support.recorded_host import RecordedHost

PACK_FOLDER = Path(__file__).parents[3] / "packs" / "cryptominer_triage"

STEP = """\
step: 11
title: {en: Hidden processes, zh: 隐藏进程检查}
asks: {en: Nothing is hidden., zh: 没有隐藏进程。}
queries:
  hidden:
    kind: detection
    severity: critical
    attack: [T1014]
    interval: 300
    snapshot: false
    needs_root: true
    description: {en: A hidden process., zh: 隐藏进程。}
    response: [{phase: contain, text: {en: Stop it., zh: 结束它。}, command: "umount <path>"}]
    false_positives: [{en: None known., zh: 暂无已知误报。}]
    sql: |
      SELECT path, 'x' AS evidence FROM mounts
    title: {en: Hidden, zh: 隐藏}
    stage: hiding
    things: {file: path}
    says: {en: a mount over <path>, zh: 覆盖 <path> 的挂载}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pack folder with one step, written by the test."""
    (tmp_path / "11_hidden.yaml").write_text(STEP, encoding="utf-8")
    return tmp_path


def rewrite(folder: Path, old: str, new: str) -> Path:
    file = folder / "11_hidden.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def problems(folder: Path) -> list[str]:
    """What check_pack says of the one step, without the seventeen that the test's pack lacks."""
    host = RecordedHost()
    try:
        found = check_pack(load_pack(folder), host)
    finally:
        host.close()
    return [str(problem) for problem in found if "of the SOP has no file" not in problem.message]


def test_the_shipped_pack_is_without_problems() -> None:
    host = RecordedHost()
    assert check_pack(load_pack(PACK_FOLDER), host) == []
    host.close()


@pytest.mark.parametrize(
    ("discovery", "message"),
    [
        ("programs: {tables: [process_events], sql: SELECT name FROM osquery_events}\n", "reads the tables of no entry"),
        ("mounts: {tables: [mounts], sql: SELECT name FROM no_such_table}\n", "the SQL does not compile"),
    ],
)
def test_what_is_wrong_with_a_pack_of_events_is_named(folder: Path, discovery: str, message: str) -> None:
    (folder / "discovery.yaml").write_text(discovery)
    host = RecordedHost()
    found = [problem.message for problem in check_pack(load_pack(folder), host)]
    host.close()
    assert any(message in one for one in found), found
    assert not any("has no file" in one for one in found)


def test_discovery_that_is_malformed_is_named(folder: Path) -> None:
    (folder / "discovery.yaml").write_text("programs: {tables: process_events}\n")
    with pytest.raises(PackError, match=r"discovery\.yaml:1: .*sql"):
        load_pack(folder)


def test_a_reason_that_no_detection_asks_for_is_a_problem() -> None:
    @dataclasses.dataclass(frozen=True)
    class Job(ScheduledJob):
        reasons: Optional[str] = column(TEXT, "what is odd", words=Words.listed("chattr padding never_asked", explaining="dull"))

    host = RecordedHost()
    try:
        pack = load_pack(PACK_FOLDER)
        table = dataclasses.replace(discover()["scheduled_jobs"], row=Job)
        assert [word for _, _, word in silent_reasons(pack, {"scheduled_jobs": table}, host)] == ["never_asked"]
        problems = check_pack(without_query(pack, "cron_download_and_run"), host)
    finally:
        host.close()
    assert "no detection reports the reasons `hides_from_tools` of scheduled_jobs" in [problem.message for problem in problems]


def without_query(pack: Pack, name: str) -> Pack:
    steps = (dataclasses.replace(step, queries=tuple(one for one in step.queries if one.name != name)) for step in pack.steps)
    return dataclasses.replace(pack, steps=tuple(steps))


def test_the_shipped_pack_covers_the_sop_in_order() -> None:
    pack = load_pack(PACK_FOLDER)
    assert [step.step for step in pack.steps] == list(range(1, 19))
    assert all(step.queries for step in pack.steps)
    assert pack.name == "cryptominer_triage"


def test_every_step_but_the_policies_has_a_detection() -> None:
    for step in load_pack(PACK_FOLDER).steps:
        kinds = {query.kind for query in step.queries}
        assert ("policy" if step.step == 18 else "detection") in kinds, step.step


def chinese_texts() -> list[str]:
    pack = load_pack(PACK_FOLDER)
    texts = [text.zh for step in pack.steps for text in (step.title, step.asks)]
    return (
        texts
        + [text.zh for q in pack.queries() for text in (q.title, q.description, *q.false_positives)]
        + [text.zh for q in pack.queries() for text in (*(step.text for step in q.response), *([q.says] if q.says else []))]
    )


def test_chinese_texts_are_chinese() -> None:
    assert [text for text in chinese_texts() if not re.search(r"[\u4e00-\u9fff]{2}", text)] == []


def test_signs_beside_chinese_are_wide() -> None:
    beside = re.compile(r"(?<=[\u3001-\u9fff\uff01-\uff60])[,;:?!()]|[,;:?!()](?=[\u3001-\u9fff\uff01-\uff60])")
    texts = [re.sub(r"`[^`]*`", "``", text) for text in chinese_texts()]
    assert [text for text in texts if beside.search(text)] == []


def test_line_breaks_leave_no_blanks_in_chinese(folder: Path) -> None:
    folded = ">-\n        隐藏\n        进程\uff0c\n        如 ps\n        所见 ; ps -e\n        显示\uff1a\n        ps。\n"
    rewrite(folder, "{en: A hidden process., zh: 隐藏进程。}", f"\n      en: A hidden\n        process.\n      zh: {folded}")
    (query,) = load_pack(folder).queries()
    assert query.description.zh == "隐藏进程\uff0c如 ps 所见 ; ps -e 显示\uff1aps。"
    assert query.description.en == "A hidden process."


def test_a_step_is_read_with_its_lines(folder: Path) -> None:
    (step,) = load_pack(folder).steps
    (query,) = step.queries
    assert (step.step, step.title.get("zh"), step.title.get("en")) == (11, "隐藏进程检查", "Hidden processes")
    assert (query.name, query.line, query.lines["sql"], query.attack) == ("hidden", 5, 15, ("T1014",))
    assert problems(folder) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("step: 11", "step: eleven", 1, "`step` must be a whole number"),
        ("interval: 300", "interval: true", 9, "`interval` must be a whole number"),
        ("snapshot: false", "snapshot: 'false'", 10, "`snapshot` must be true or false"),
        ("needs_root: true", "need_root: true", 5, "query 'hidden' lacks the key `needs_root`"),
        ("needs_root: true", "need_root: true", 11, "query 'hidden' has the unknown key `need_root`"),
        ("zh: 隐藏进程。", "zh: ''", 12, "`description` is empty in zh"),
        ("{en: Stop it., zh: 结束它。}", "{en: Stop it.}", 13, "`text` lacks the key `zh`"),
        ("{en: Stop it., zh: 结束它。}", "Stop it.", 13, "`text` must be a mapping"),
        ("[{phase: contain,", "[stop, {phase: contain,", 13, "no procedure 'stop' in procedures.yaml"),
        ("[{phase: contain,", "{phase: contain,", 13, "not valid YAML"),
        ("phase: contain", "phase: panic", 13, "unknown phase 'panic'; one of contain"),
        (
            '[{phase: contain, text: {en: Stop it., zh: 结束它。}, command: "umount <path>"}]',
            "Stop it.",
            13,
            "`response` must be a list",
        ),
        ("{en: None known., zh: 暂无已知误报。}", "None known.", 14, "a false positive has an English and a Chinese text"),
        ("{en: None known., zh: 暂无已知误报。}", "{en: None known.}", 14, "`false_positives` lacks the key `zh`"),
        ("{en: None known., zh: 暂无已知误报。}", "{}", 14, "`false_positives` lacks the key `en`"),
        (
            "[{en: None known., zh: 暂无已知误报。}]",
            "\n      - en: None known.\n        zh: ' '",
            16,
            "`false_positives` is empty in zh",
        ),
        ("[{en: None known., zh: 暂无已知误报。}]", "None known.", 14, "`false_positives` must be a list"),
        ("[T1014]", "[1014]", 8, "`attack` must be a list of texts"),
        ("interval: 300", "interval: 300\n    interval: 400", 10, "not valid YAML: the key 'interval' appears twice"),
        ("kind: detection", "kind: [detection", 7, "not valid YAML"),
        ("queries:", "queries: {}\nmore:", 4, "`queries` holds no query"),
        ("    sql:", "    known_good: exe_path\n    sql:", 15, "`known_good` must be a mapping"),
        ("    sql:", "    known_good: {}\n    sql:", 15, "`known_good` names no category"),
        ("    sql:", "    known_good: {file: path}\n    sql:", 15, "the SQL lacks `{known_good}`"),
        ("FROM mounts", "FROM mounts WHERE {known_good}", 15, "the SQL has `{known_good}`, and the query no key"),
        ("    sql:", "    known_good:\n      fil: path\n    sql:", 16, "`known_good` has the unknown category `fil`; one of"),
        ("    sql:", "    known_good:\n      file: 7\n    sql:", 16, "`file` of `known_good` must be the SQL expression"),
    ],
)
def test_malformed_files_are_named_by_line(folder: Path, old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(PackError) as error:
        load_pack(rewrite(folder, old, new))
    assert any(f"11_hidden.yaml:{line}: {message}" in str(problem) for problem in error.value.problems), str(error.value)


def silenced(folder: Path, keys: str, pattern: dict[str, str]) -> list[str]:
    """The paths that the step's query still gives when it has the key `known_good` and the site lists the one pattern."""
    rewrite(folder, "    sql:", f"    known_good: {keys}\n    sql:")
    rewrite(folder, "FROM mounts", "FROM mounts WHERE path <> '/' AND {known_good} GROUP BY path")
    assert problems(folder) == []
    host = RecordedHost({"mounts": [{"path": "/", "device": "a"}, {"path": "/srv", "device": "b"}], "known_good": [pattern]})
    (query,) = load_pack(folder).queries()
    rows = host.query(query.sql)
    host.close()
    return [row["path"] for row in rows]


@pytest.mark.parametrize(
    ("keys", "category", "pattern", "left"),
    [
        ("{file: path}", "file", "/sr*", []),
        ("{file: path}", "file", "/sr", ["/srv"]),
        ("{file: path}", "process", "/srv", ["/srv"]),
        ("{process: device, file: \"path || ': ' || device\"}", "file", "/srv: b", []),
        ("{process: device, file: \"path || ': ' || device\"}", "process", "b", []),
        ("{process: device, file: \"path || ': ' || device\"}", "process", "/srv: b", ["/srv"]),
    ],
)
def test_what_the_site_lists_is_left_out(folder: Path, keys: str, category: str, pattern: str, left: list[str]) -> None:
    assert silenced(folder, keys, {"category": category, "pattern": pattern}) == left


def test_several_categories_are_one_condition(folder: Path) -> None:
    rewrite(folder, "    sql:", "    known_good: {file: path, process: device}\n    sql:")
    (query,) = load_pack(rewrite(folder, "FROM mounts", "FROM mounts WHERE NOT {known_good}")).queries()
    assert query.sql.count("NOT (NOT EXISTS (") == 1 and query.sql.rstrip().endswith("k.pattern))")


def test_lines_of_the_sql_are_those_of_the_file(folder: Path) -> None:
    rewrite(folder, "    sql:", "    known_good: {file: path}\n    sql:")
    rewrite(folder, "FROM mounts", "FROM mounts\n      WHERE {known_good}\n        AND device IS NULL")
    assert any(text.startswith(f"{folder}/11_hidden.yaml:19: ") for text in problems(folder)), problems(folder)


def test_the_shipped_pack_writes_no_exception_by_hand() -> None:
    written = [file.name for file in sorted(PACK_FOLDER.glob("*.yaml")) if "known_good k" in file.read_text(encoding="utf-8")]
    assert written == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("step: 11", "step: 19", 1, "the SOP has no step 19"),
        ("step: 11", "step: 12", 1, "must be named 12_"),
        ("hidden:", "Hidden-ones:", 5, "may hold only a-z"),
        ("hidden:", "fork_counter:", 5, "osquery refuses the query name"),
        ("kind: detection", "kind: alert", 6, "unknown kind 'alert'"),
        ("critical", "urgent", 7, "unknown severity 'urgent'"),
        ("T1014", "T1562.001", 8, "ATT&CK replaced T1562.001 by T1685"),
        ("T1014", "TA0005", 8, "is no ATT&CK technique id"),
        ("interval: 300", "interval: 604801", 9, "outside 1..604800"),
        ("kind: detection", "kind: inventory", 18, "only a detection has `stage`"),
        ("stage: hiding", "stage: telling", 18, "unknown stage 'telling'"),
        ("{file: path}", "{flie: path}", 19, "unknown kind of thing `flie`"),
        ("{file: path}", "{file: [path, file]}", 19, "names the column `file`"),
        ("a mount over <path>", "a mount over <pid>", 20, "`says` names the column `pid`"),
        ("kind: detection", "kind: evidence", 10, "are snapshots"),
        ("[{en: None known., zh: 暂无已知误报。}]", "[]", 14, "what innocent thing may look like it"),
        ("FROM mounts", "FROM mount", 15, "does not compile"),
        ("SELECT path", "SELECT path, type", 15, "`type` is rewritten by SIEM pipelines"),
        ("SELECT path", "SELECT path, blocks AS last_blocks", 15, "volatile column `last_blocks`"),
        (", 'x' AS evidence", "", 15, "does not select evidence"),
        ("SELECT path", "SELECT 1 AS pid, path", 15, "does not select cmdline, exe_path, parent"),
        ("'x' AS evidence", '"x" AS evidence', 15, "strings take single quotes"),
        ("FROM mounts", "FROM mounts; SELECT 1", 15, "must be one statement"),
        ("SELECT path, 'x' AS evidence FROM mounts", "DELETE FROM mounts", 15, "must begin with SELECT or WITH"),
        ("'x' AS evidence", "string_agg(path, ',') AS evidence", 15, "string_agg() is not in the SQLite 3.39"),
        ("'x' AS evidence", "iif(1, octet_length(path), 0) AS evidence", 15, "octet_length() is not in"),
        ("'x' AS evidence", f"regex_match(path, '{'a' * 257}', 0) AS evidence", 15, "over 256 bytes"),
        ("SELECT path, 'x'", "SELECT path, path, 'x'", 15, "has the column `path` 2 times"),
    ],
)
def test_rule_breaking_queries_are_named_by_line(folder: Path, old: str, new: str, line: int, message: str) -> None:
    found = problems(rewrite(folder, old, new))
    assert any(text.startswith(f"{folder}/11_hidden.yaml:{line}: ") and message in text for text in found), found


def test_keywords_inside_strings_and_comments_are_no_problem(folder: Path) -> None:
    rewrite(folder, "'x' AS evidence", '\'a; "b" REGEXP string_agg(\' AS evidence -- REGEXP; "c"\n     ')
    assert problems(folder) == []


def test_duplicates_over_files_and_missing_steps(folder: Path) -> None:
    (folder / "11_again.yaml").write_text(STEP, encoding="utf-8")
    found = problems(folder)
    assert sum("query name 'hidden' is used 2 times" in text for text in found) == 2
    assert any("step 11 has 2 files" in text for text in found)
    host = RecordedHost()
    missing = [problem.message for problem in check_pack(load_pack(folder), host) if "has no file" in problem.message]
    host.close()
    assert len(missing) == 17


@pytest.mark.parametrize(
    "content", [b"", b"- 1\n", b"\xff\xfe\x00", b"a: " + b"[" * 3000, b"? [1]\n: 2\n", b"step: 2001-13-45\n"]
)
def test_junk_is_a_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "01_junk.yaml").write_bytes(content)
    with pytest.raises(PackError, match=r"01_junk\.yaml:1: "):
        load_pack(tmp_path)


def test_an_empty_or_missing_folder_is_a_message(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(PackError, match=r"no \*\.yaml file here"):
            load_pack(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(start=st.integers(0, len(STEP)), length=st.integers(0, 40), new=st.text(max_size=20))
def test_damaged_files_never_end_in_a_traceback(tmp_path: Path, start: int, length: int, new: str) -> None:
    damaged = STEP[:start] + new + STEP[start + length :]
    (tmp_path / "11_hidden.yaml").write_bytes(damaged.encode("utf-8", "replace"))
    try:
        problems(tmp_path)
    except PackError as error:
        assert error.problems
