"""What counts on NULL text is found, in whatever form; what is right on osquery, or about numbers, is left alone."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from extension.pack.check import _SCHEMA
from extension.pack.empty_text import beliefs_in_null_text, quoted_sql

REPOSITORY = Path(__file__).parents[3]
SCHEMA = {"t": {"text": "TEXT", "more": "TEXT", "raw": "BLOB", "number": "BIGINT"}, "u": {"number": "BIGINT", "text": "TEXT"}}

WRONG = [
    "SELECT 1 FROM t WHERE text IS NULL",
    "SELECT 1 FROM t WHERE text IS NOT NULL",
    "SELECT 1 FROM t WHERE NOT text IS NULL",
    "SELECT 1 FROM t WHERE text NOTNULL",
    "SELECT 1 FROM t WHERE raw ISNULL",
    "SELECT 1 FROM t WHERE lower(text) IS NULL",
    "SELECT 1 FROM t WHERE (text || more) IS NULL",
    "SELECT coalesce(text, more) FROM t",
    "SELECT ifnull(text, 'none') FROM t",
    "SELECT coalesce(nullif(text, ''), more, 'none') FROM t",
    "SELECT coalesce(', as ' || text, '') FROM t",
    "SELECT coalesce(text, more, '') FROM t",
    "SELECT count(text) FROM t",
    "SELECT 1 FROM t ORDER BY text IS NULL",
    "SELECT CASE WHEN a.text IS NULL THEN 1 END FROM t a",
    "SELECT 1 FROM u LEFT JOIN t USING (number) WHERE t.text IS NULL",
    "WITH c AS (SELECT text AS renamed FROM t) SELECT 1 FROM c WHERE renamed IS NULL",
    "WITH c AS (SELECT * FROM t) SELECT 1 FROM c WHERE text IS NULL",
    "WITH c(x) AS MATERIALIZED (SELECT text FROM t) SELECT 1 FROM c WHERE x IS NULL",
    "SELECT 1 FROM (SELECT text FROM t UNION ALL SELECT text FROM u) WHERE text IS NULL",
    "SELECT text AS said FROM t WHERE said IS NOT NULL",
    "SELECT 1 FROM u WHERE EXISTS (SELECT 1 FROM t WHERE t.number = u.number AND u.text IS NULL)",
    "SELECT (SELECT coalesce(u.text, 'x') FROM t) FROM u",
]
RIGHT = [
    "SELECT 1 FROM t WHERE coalesce(text, '') = ''",
    "SELECT ifnull(text, '') FROM t",
    "SELECT coalesce(nullif(text, ''), more) FROM t",
    "SELECT coalesce(', as ' || nullif(text, ''), '') FROM t",
    "SELECT coalesce(number, 0), count(number), count(*) FROM t WHERE number IS NULL",
    "SELECT 1 FROM t WHERE regex_match(text, 'a', 0) IS NOT NULL",
    "SELECT 1 FROM u LEFT JOIN t USING (number) WHERE t.number IS NULL",
    "WITH c AS (SELECT nullif(text, '') AS text FROM t) SELECT 1 FROM c WHERE text IS NULL",
    "SELECT CASE WHEN number = 1 THEN text END AS said FROM t WHERE said IS NOT NULL",
    "SELECT 1 FROM t WHERE text = 'IS NULL' -- text IS NULL",
    "SELECT coalesce((SELECT text FROM t), '') FROM u",
]


@pytest.mark.parametrize("sql", WRONG)
def test_a_belief_in_null_text_is_found(sql: str) -> None:
    assert [belief.line for belief in beliefs_in_null_text(sql, SCHEMA)] == [1]


@pytest.mark.parametrize("sql", RIGHT)
def test_what_osquery_answers_rightly_is_left_alone(sql: str) -> None:
    assert beliefs_in_null_text(sql, SCHEMA) == []


def test_the_line_is_that_of_the_belief() -> None:
    assert [
        found.line for found in beliefs_in_null_text("SELECT number\nFROM t\nWHERE number = 1\n  AND text IS NULL", SCHEMA)
    ] == [4]


def test_sql_that_cannot_be_parsed_is_named() -> None:
    assert "cannot be parsed" in beliefs_in_null_text("SELECT FROM WHERE (", SCHEMA)[0].message


def test_queries_are_found_in_documents() -> None:
    text = 'Run\n\n    minehunt query "SELECT a\n      FROM t"\n\nor `WITH x AS (SELECT 1) SELECT * FROM x`, not "select".\n'
    assert list(quoted_sql(text)) == [(3, "SELECT a\n      FROM t"), (6, "WITH x AS (SELECT 1) SELECT * FROM x")]


def test_no_query_in_the_shipped_code_believes_in_null_text() -> None:
    """Every string of the code, the build and the documents that is a query, wherever it stands."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.sh"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    found, queries = [], 0
    for name in listed.stdout.split():
        if name.startswith("tests/"):
            continue
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        if name.endswith(".py"):
            tree = ast.parse(text)
            parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
            constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in parts]
            strings = [(node.lineno, node.value) for node in constants if isinstance(node.value, str)]
        else:
            strings = [*quoted_sql(text), *((n, line.strip()) for n, line in enumerate(text.splitlines(), 1))]
        for line, sql in strings:
            # rpm's own database is read by SQL too.
            if re.match(r"(SELECT|WITH)\s", sql) and set(re.findall(r"\bFROM (\w+)", sql)) & _SCHEMA.keys():
                queries += 1
                found += [f"{name}:{line}: {belief.message}" for belief in beliefs_in_null_text(sql, _SCHEMA)]
    assert queries > 60
    assert found == []
