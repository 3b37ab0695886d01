"""`minehunt fleet`: the command line of the fleet view."""

from __future__ import annotations

import atexit
import functools
import gc
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from extension import private_file
from extension.command_line import (
    COULD_NOT_RUN,
    FOUND,
    CannotRunError,
    language_option,
    open_pack,
    pack_option,
    to_file,
    write_out,
)
from extension.fleet import progress
from extension.fleet.sources import TABLE, NoSourceError, Problem, Source, discover
from extension.tabular import as_csv, as_grid
from tables.schema import clean_text

if TYPE_CHECKING:
    from extension.fleet.names import Names
    from extension.fleet.report.document import Document
    from extension.pack.parts import Pack

# Seconds.
_SWITCH_INTERVAL = 0.0001
_EXTRAS = {"pyspark": "spark"}
_IMPORTED = ("fleet_view", "duck")
_NAMES = ("incidents", "campaigns", "rare", "hosts", "coverage")


class _Fleet(click.Group):
    """The group, which says what to install where its engine is missing."""

    def invoke(self, ctx: click.Context) -> Any:
        # Nothing here leaves cycles that matter before it ends, and to look for them takes a tenth of Python's time.
        is_collecting = gc.isenabled()
        gc.disable()
        # Nor as the process ends, when all of it goes anyway.
        atexit.register(gc.freeze)
        # DuckDB asks for Python's lock between any two of its steps, and would wait 5 ms each time.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing == "tables":
                raise
            extra = _EXTRAS.get(missing, "fleet")
            lacks = "what this file does not carry" if missing == "extension" else f"the Python package {missing}"
            version = "" if sys.version_info >= (3, 10) else " (with Python 3.10 or newer)"
            raise CannotRunError(f"the fleet view needs {lacks}: pip install 'minehunt[{extra}]'{version}") from None
        finally:
            sys.setswitchinterval(interval)
            if is_collecting:
                # All is old now: what begins to look for cycles again begins with what is new.
                gc.freeze()
                gc.unfreeze()
                gc.enable()


@click.group(cls=_Fleet)
def fleet() -> None:
    """Look at the results of all hosts together: incidents, campaigns, rare things, who is next, who is silent.

    SOURCE is a file, folder, glob or URL of results (.log .json .ndjson .gz .zst .parquet) as osqueryd, Fleet, Elastic, Filebeat
    or `minehunt triage --format json` write them, or a folder that `fleet load` wrote.
    """


def _source_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.argument("sources", nargs=-1, required=True, metavar="SOURCE..."),
        click.option(
            "--engine",
            default="duckdb",
            show_default=True,
            metavar="ENGINE",
            help="duckdb, spark, spark://HOST:PORT, or a database by its URL for Ibis, SOURCE being a table there.",
        ),
        click.option(
            "--memory", default="1GB", show_default=True, metavar="SIZE", help="What DuckDB may take before it uses the disk."
        ),
        pack_option,
    )

    @functools.wraps(command)
    def run(*args: Any, **values: Any) -> None:
        command(*args, **values)

    for option in reversed(options):
        run = option(run)
    return run


@fleet.command()
@_source_options
@click.option("--format", "form", type=click.Choice(["text", "html", "md", "json"]), default="text", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the report there instead of printing it.")
@language_option
def report(
    sources: tuple[str, ...], engine: str, memory: str, folder: Optional[Path], form: str, output: Optional[Path], lang: str
) -> None:
    """Report on the fleet: exit 0 = no host is compromised, 1 = some are, 2 = could not run, 130 = interrupted."""
    if output is not None:
        to_file(private_file.check, output)
    document = _document(sources, engine, memory, folder)
    if form == "text" and output is None:
        from extension.fleet.report import text

        text.show(document, lang, sys.stdout)
    else:
        write_out(_render(document, form, lang), output)
    if document["summary"]["compromised"]:
        sys.exit(FOUND)


def _listing(name: str) -> click.Command:
    @click.command(name, help=f"List the fleet's {name}, one a row.")
    @_source_options
    @click.option("--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True)
    @language_option
    def command(sources: tuple[str, ...], engine: str, memory: str, folder: Optional[Path], form: str, lang: str) -> None:
        from extension.fleet.listing import LISTS

        rows = list(LISTS[name](_document(sources, engine, memory, folder), lang))
        if form == "jsonl":
            for row in rows:
                click.echo(json.dumps(row, ensure_ascii=False))
        else:
            click.echo(as_csv(rows) if form == "csv" else as_grid(rows), nl=False)

    return command


for _name in _NAMES:
    fleet.add_command(_listing(_name))


@fleet.command()
@_source_options
@click.option(
    "--campaign", "names", multiple=True, metavar="NAME", help="Only this campaign (repeatable), as `fleet campaigns` names it."
)
@click.option("--format", "form", type=click.Choice(["stix", "misp", "csv", "minehunt"]), default="minehunt", show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the indicators there instead of printing them."
)
def export(
    sources: tuple[str, ...],
    engine: str,
    memory: str,
    folder: Optional[Path],
    names: tuple[str, ...],
    form: str,
    output: Optional[Path],
) -> None:
    """Give away the indicators of campaigns; `minehunt intel import FILE` takes what --format minehunt, stix and misp write."""
    from extension.fleet.export import render

    document = _document(sources, engine, memory, folder)
    try:
        rendered = render(document, names, form)
    except KeyError as error:
        known = ", ".join(one["name"] for one in document["campaigns"]) or "none"
        raise CannotRunError(f"no campaign {error}; there are: {known}") from None
    write_out(rendered, output)


@fleet.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--into", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The data set to write or to add to.")
@click.option("--memory", default="1GB", show_default=True, metavar="SIZE", help="What DuckDB may take before it uses the disk.")
@pack_option
def load(sources: tuple[str, ...], into: Path, memory: str, folder: Optional[Path]) -> None:
    """Write results into a Parquet data set, partitioned by day; a file that is in it already changes nothing.

    Exit 0 = at least one file is in it now, 2 = none is, 130 = interrupted.
    """
    from extension.fleet.load import NoDataSetError
    from extension.fleet.load import load as load_into
    from extension.fleet.open_engine import open_duck

    files, problems = _discovered(sources)
    far = next((source.path for source in files if source.is_remote), None)
    if far:
        raise CannotRunError(f"{far}: `fleet load` knows files again by their content, and reads no URLs; `fleet report` does")
    with _told_errors(), closing(open_duck(_names(folder), memory)) as engine:
        try:
            with progress.bar(sum(source.size for source in files)) as advance:
                loaded, known = load_into(engine, files, into, advance)
        except NoDataSetError as error:
            raise CannotRunError(str(error)) from None
        except OSError as error:
            raise CannotRunError(f"{into}: {error.strerror or error}") from None
    for problem in problems + loaded.problems:
        click.echo(clean_text(str(problem)), err=True)
    click.echo(f"{loaded.files} files loaded, {loaded.lines} lines, {loaded.broken} broken; {known} files were there already")
    if not loaded.files + known:
        sys.exit(COULD_NOT_RUN)


def _document(sources: tuple[str, ...], engine: str, memory: str, folder: Optional[Path]) -> Document:
    from extension.fleet.open_engine import is_url, open_engine

    files, problems = ([Source(name, TABLE, "", 0) for name in sources], []) if is_url(engine) else _discovered(sources)
    with _told_errors(), closing(open_engine(engine, _names(folder), memory)) as opened, ThreadPoolExecutor(1) as beside:
        # Nobody needs the packs before the first lines are read.
        beside.submit(lambda: opened.names.queries)
        # Reading takes all processors and taking in what was read takes one, beside which Ibis may as well be imported.
        imported = functools.cache(lambda: [beside.submit(import_module, f"extension.fleet.{name}") for name in _IMPORTED])
        with progress.bar(sum(source.size for source in files)) as advance:

            def has_read(size: int) -> None:
                advance(size)
                imported()

            loaded = opened.load(files, has_read)
        loaded.problems[:0] = problems
        if not opened.has_results():
            why = f"; {loaded.problems[0]}" if loaded.problems else ""
            raise CannotRunError(f"no result of osquery in what was read ({loaded.files} files, {loaded.lines} lines){why}")
        for each in imported():
            each.result()
        from extension.fleet.fleet_view import look
        from extension.fleet.report.document import document

        with progress.steps() as step:
            view = look(opened.ready(), opened.names, step)
    return document(view, loaded)


@contextmanager
def _told_errors() -> Iterator[None]:
    """Tell in one line what the engine does not do, or where it ran out of memory or disk."""
    import duckdb

    from extension.fleet.open_engine import EngineRefusedError

    try:
        yield
    except EngineRefusedError as error:
        raise CannotRunError(str(error)) from None
    except duckdb.OutOfMemoryException as error:
        raise CannotRunError(f"it does not fit into --memory, give it more (DuckDB: {str(error).splitlines()[0]})") from None
    except duckdb.Error as error:
        raise CannotRunError(f"DuckDB: {str(error).splitlines()[0]}") from None


def _names(folder: Optional[Path]) -> Names:
    """The queries of the pack in `folder`, else of both packs that minehunt came with, which are opened when they are needed."""
    from extension.fleet.names import Names

    return Names.of(open_pack(folder)) if folder else Names(_own_packs)


def _own_packs() -> Sequence[Pack]:
    from extension.pack.model import shipped_pack

    return [open_pack(None), open_pack(shipped_pack("cryptominer_events"))]


def _discovered(sources: tuple[str, ...]) -> tuple[list[Source], list[Problem]]:
    try:
        return discover(sources)
    except NoSourceError as error:
        raise CannotRunError(str(error)) from None


def _render(document: Document, form: str, lang: str) -> str:
    if form == "json":
        from extension.fleet.report.document import as_json

        return as_json(document)
    if form == "html":
        from extension.fleet.report.html import render
    elif form == "md":
        from extension.fleet.report.markdown import render
    else:
        from extension.fleet.report.text import render
    return render(document, lang)
