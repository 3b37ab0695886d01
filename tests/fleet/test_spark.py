"""Spark gives the rows that DuckDB gives."""

from __future__ import annotations

import pytest

from extension.fleet.duck_files import DuckFiles
from extension.fleet.engines import Results
from extension.fleet.fleet_view import look
from extension.fleet.names import Names
from extension.fleet.report.document import Document, document
from extension.fleet.sources import discover
from tests.fleet.simulate import SAMPLE

pytest.importorskip("pyspark", reason="pyspark is half a gigabyte and needs Java 17: pip install 'minehunt[spark]'")


def _report(results: Results, names: Names) -> Document:
    try:
        loaded = results.load(discover([str(SAMPLE)])[0])
        return document(look(results.ready(), names), loaded)
    finally:
        results.close()


def test_both_engines_say_the_same(names: Names) -> None:
    from extension.fleet.spark import Spark

    spark, duck = _report(Spark(names, "local[2]"), names), _report(DuckFiles(names), names)
    assert {**spark, "engine": ""} == {**duck, "engine": ""}
    assert len(spark["campaigns"]) == 5
