"""`minehunt baseline capture` and `minehunt baseline diff`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Optional

import click

from extension import private_file
from extension.baseline.drift import Drift, compare
from extension.baseline.listing import included, render, step_title
from extension.baseline.seen import Reports, Seen, look, with_packages
from extension.command_line import COULD_NOT_RUN, FOUND, CannotRunError, EngineOptions, engine_options, open_pack, pack_option
from extension.pack.model import Pack
from tables.host import Host
from tables.indicators.known_good_list import in_force, known_good_entries
from tables.schema import clean_text


@click.group()
def baseline() -> None:
    """Declare what is normal on this host, and see what has changed since."""


@baseline.command()
@engine_options
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the list there instead of printing it.")
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@pack_option
def capture(options: EngineOptions, output: Optional[Path], force: bool, folder: Optional[Path]) -> None:
    """Write a known-good list of this host for review.

    What a detection of the pack reports now is in it as a comment only. Exit 0 = complete, 2 = something could not be read.
    """
    if output is not None and os.path.lexists(output) and not force:
        raise CannotRunError(f"{output} exists already; --force replaces it")
    pack = open_pack(folder)
    with closing(options.open(is_triage=True)) as engine:
        reports = Reports(pack, engine)
        seen = reports.mark(with_packages(look(engine), Host(options.root)))
    text = render(pack, seen, reports.failures)
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            private_file.write(output, text)
        except OSError as error:
            raise CannotRunError(f"{output}: {error.strerror}") from None
    good = sum(len(included(one)) for one in seen)
    click.echo(f"{good} entries; {sum(len(one.entries) for one in seen) - good} left out for review", err=True)
    if _tell_problems(seen, reports.failures):
        sys.exit(COULD_NOT_RUN)


@baseline.command()
@engine_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@pack_option
def diff(options: EngineOptions, form: str, folder: Optional[Path]) -> None:
    """Compare this host with its known-good list.

    Exit 0 = no drift, 1 = drift, 2 = could not run, or not for everything.
    """
    pack = open_pack(folder)
    listed, _ = in_force(known_good_entries(options.host()), time.time())
    with closing(options.open(is_triage=True)) as engine:
        seen = look(engine)
    drifts = compare(seen, listed)
    if form == "json":
        click.echo(json.dumps([drift.as_json() for drift in drifts], indent=2, ensure_ascii=False))
    else:
        _print(pack, drifts)
    if _tell_problems(seen):
        sys.exit(COULD_NOT_RUN)
    if any(drift.new or drift.gone for drift in drifts):
        sys.exit(FOUND)


def _print(pack: Pack, drifts: list[Drift]) -> None:
    for drift in drifts:
        if not drift.new and not drift.gone:
            continue
        click.echo(f"{step_title(pack, drift.seen)} ({drift.seen.source.category})")
        for entry in drift.new:
            click.echo(f"  + {clean_text(entry.key)}" + (f"   ({clean_text(entry.context)})" if entry.context else ""))
        for listed in drift.gone:
            click.echo(f"  - {clean_text(listed.pattern)}   ({clean_text(listed.path)}, line {listed.line})")
    new, gone = sum(len(drift.new) for drift in drifts), sum(len(drift.gone) for drift in drifts)
    click.echo(f"{new} not on the list (+), {gone} on the list but not here (-)")


def _tell_problems(seen: Sequence[Seen], failures: Sequence[str] = ()) -> bool:
    for one in seen:
        if one.problem:
            click.echo(f"{one.source.category}: could not be read: {clean_text(one.problem)}", err=True)
        for spot in one.blind_spots:
            click.echo(f"{one.source.category}: not everything could be seen: {clean_text(spot)}", err=True)
    for failure in failures:
        click.echo(f"detection {clean_text(failure)}", err=True)
    return bool(failures) or any(one.problem for one in seen)
