"""Which engine a name on the command line means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extension.fleet.names import Names

if TYPE_CHECKING:
    from extension.fleet.duck_files import DuckFiles
    from extension.fleet.engines import Results


class EngineRefusedError(Exception):
    """There is no such engine here, or it cannot read what it was given; the message says why."""


def is_url(name: str) -> bool:
    """Whether the engine's name is the URL of a database, whose tables are its sources."""
    return "://" in name and not name.startswith("spark://")


def open_engine(name: str, names: Names, memory: str) -> Results:
    """What reads for an engine: duckdb, spark (of this machine), spark://HOST:PORT or a URL; EngineRefusedError for another."""
    if name == "duckdb":
        return open_duck(names, memory)
    if name == "spark" or name.startswith(("spark://", "local[")):
        from extension.fleet.spark import Spark

        return Spark(names, name)
    if is_url(name):
        from extension.fleet.ibis_engine import IbisEngine

        return IbisEngine(names, name)
    raise EngineRefusedError(f"no engine {name!r}; there are duckdb, spark, spark://HOST:PORT and the URLs of Ibis's backends")


def open_duck(names: Names, memory: str) -> DuckFiles:
    """DuckDB with so much memory; EngineRefusedError where it does not start with that."""
    import duckdb

    from extension.fleet.duck_files import DuckFiles

    try:
        return DuckFiles(names, memory)
    except duckdb.Error as error:
        raise EngineRefusedError(f"--memory {memory}: {str(error).splitlines()[0]}") from None
