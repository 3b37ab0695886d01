"""What minehunt's commands share: their options, and how the pack and an engine are opened or why they cannot be."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from extension.engines import Engine, EngineError
from extension.pack.parts import LANGUAGES
from extension.private_file import write as write_privately
from extension.terminal import user_language
from tables.errors import TableError
from tables.host import Host
from tables.host.settings import Settings
from tables.schema import clean_text

if TYPE_CHECKING:
    from extension.engines.embedded import EmbeddedEngine
    from extension.pack.model import Pack
    from extension.pack.reading import Folder
    from extension.triage import Triage

FOUND = 1
COULD_NOT_RUN = 2
# 128 + SIGINT, as shells have it.
INTERRUPTED = 130

pack_option = click.option(
    "--pack", "folder", type=click.Path(file_okay=False, path_type=Path), help="Folder of another pack than minehunt's own."
)
language_option = click.option(
    "--lang", type=click.Choice(LANGUAGES), default=user_language, show_default="the locale's", help="Language of the report."
)
_ENGINE_OPTIONS = (
    click.option(
        "--engine",
        type=click.Choice(("auto", "osquery", "embedded")),
        default="auto",
        show_default=True,
        help="auto takes osquery where it is installed.",
    ),
    click.option("--socket", metavar="PATH", help="Use the osqueryd that listens at this extensions socket."),
    click.option(
        "--root",
        type=click.Path(exists=True, file_okay=False),
        default="/",
        help="Examine the disk image or container mounted there instead of this system (embedded engine).",
    ),
    click.option(
        "--indicators", metavar="FILE", multiple=True, help="More pool indicators: a domain[:port], IP[:port] or CIDR a line."
    ),
    click.option("--known-good", metavar="FILE", help="What is normal here, instead of /etc/minehunt/known_good.yaml."),
    click.option("--config", metavar="FILE", help="Configuration instead of /etc/minehunt/minehunt.yaml."),
)


class CannotRunError(click.ClickException):
    """Nothing was examined; the message says why. Exit status 2."""

    exit_code = COULD_NOT_RUN

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(clean_text, message.split("\n"))))


class StoppedError(click.ClickException):
    """Somebody interrupted it. Exit status 130: Click's own, 1, says here that something was found."""

    exit_code = INTERRUPTED


@dataclass(frozen=True)
class EngineOptions:
    """Where SQL shall run and with what settings, as the command line says."""

    engine: str
    socket: Optional[str]
    root: str
    indicators: tuple[str, ...]
    known_good: Optional[str]
    config: Optional[str]

    def host(self, is_triage: bool = False, is_quick: bool = False) -> Host:
        """The host to examine, its settings and lists loaded here so that a bad file is told before anything runs."""
        from tables.indicators.known_good_list import known_good_entries
        from tables.indicators.pools import pool_indicators

        try:
            settings = Settings.from_environment(self.config, self.indicators, known_good=self.known_good)
            # Of a mounted disk nothing else makes use, and somebody waits for it.
            host = Host(self.root, replace(settings, is_triage=is_triage or self.root != "/", is_quick=is_quick))
            pool_indicators(host)
            known_good_entries(host)
        except (TableError, OSError) as error:
            raise CannotRunError(str(error)) from None
        return host

    def open(self, is_triage: bool = False, is_quick: bool = False) -> Engine:
        """The engine, to be closed after use; in a hurry for a triage (see Settings)."""
        from extension.engines.osquery import OsqueryEngine, find_osquery

        host = self.host(is_triage, is_quick)
        if not host.is_live:
            if self.engine == "osquery" or self.socket:
                raise CannotRunError("osquery examines the running system only; --root needs the embedded engine")
            return open_embedded(host)
        # What failed is in the answer; a log line between the report's would only repeat it.
        logging.basicConfig(handlers=[logging.NullHandler()])
        program = find_osquery() if self.engine != "embedded" and not self.socket else None
        try:
            if self.socket:
                return OsqueryEngine.attach(self.socket, host.settings)
            if program:
                return OsqueryEngine.start(program, host.settings)
        except EngineError as error:
            if self.engine == "osquery" or self.socket:
                raise CannotRunError(str(error)) from None
            click.echo(f"{clean_text(str(error))}; using the embedded engine instead", err=True)
        if self.engine == "osquery":
            raise CannotRunError("no osqueryd or osqueryi on this machine; --engine embedded needs none")
        return open_embedded(host)


def open_embedded(host: Host) -> EmbeddedEngine:
    """The embedded engine on `host`, where the packages that it needs are installed."""
    try:
        from extension.engines.embedded import EmbeddedEngine
    except ModuleNotFoundError as error:
        raise CannotRunError(
            f"nothing to run SQL in: no osquery on this machine, and the embedded engine needs the Python package {error.name}, "
            "which this file does not carry; install osquery, or run minehunt from its repository (make triage)"
        ) from None
    return EmbeddedEngine(host)


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that choose the engine and its settings; it gets them as `options: EngineOptions`."""

    @functools.wraps(command)
    def run(*args: Any, **values: Any) -> None:
        chosen = {name: values.pop(name) for name in EngineOptions.__dataclass_fields__}
        command(*args, options=EngineOptions(**chosen), **values)

    for option in reversed(_ENGINE_OPTIONS):
        run = option(run)
    return run


def open_pack(folder: Optional[Folder]) -> Pack:
    """The pack in `folder`, or the one that minehunt came with."""
    # With YAML's own; whoever needs no pack has none of it to wait for.
    from extension.pack.model import PackError, load_pack, shipped_pack

    try:
        return load_pack(folder or shipped_pack())
    except PackError as error:
        raise CannotRunError(f"the pack cannot be used:\n{error}") from None


def examined(report: Optional[Path], options: EngineOptions, pack: Pack) -> Triage:
    """The triage of a JSON report, or of this host now where there is no report; interrupted, what was found so far."""
    from extension.report.saved import ReportError, read_report
    from extension.triage import run_triage

    if report is not None:
        try:
            return read_report(report, pack)
        except ReportError as error:
            raise CannotRunError(str(error)) from None
    with closing(options.open(is_triage=True)) as opened:
        click.echo(f"minehunt: no REPORT.json given; examining this host with the {opened.name} engine", err=True)
        return run_triage(pack, opened)


def to_file(action: Callable[..., None], path: Path, *arguments: str) -> None:
    """Do something with a file; CannotRunError names it where that fails."""
    try:
        action(path, *arguments)
    except OSError as error:
        raise CannotRunError(f"{path}: {error.strerror}") from None


def write_out(text: str, output: Optional[Path]) -> None:
    """Write a result to a file for its owner only, or to standard output as UTF-8, as its formats want it."""
    if output is not None:
        to_file(write_privately, output, text)
    else:
        click.echo(text.encode("utf-8", "backslashreplace"), nl=False)
