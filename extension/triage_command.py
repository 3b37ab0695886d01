"""`minehunt triage`: the SOP on this host, or a part of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Optional

import click
from rich.text import Text

from extension import __version__, private_file
from extension.command_line import (
    FOUND,
    INTERRUPTED,
    CannotRunError,
    EngineOptions,
    engine_options,
    language_option,
    open_pack,
    pack_option,
    to_file,
    write_out,
)
from extension.container_triage import chosen, triage_containers
from extension.pack.model import SEVERITIES, Pack
from extension.report import json as json_report
from extension.report import text as text_report
from extension.report.facts import Facts, collect
from extension.triage import Triage, run_triage

_STEPS = 18
# Tables that read a whole disk: what --quick does without.
_WALKS = ("recent_files", "changed_package_files", "suid_bin")
_FORMS = ("text", "html", "md", "json", "jsonl", "sarif", "stix", "misp")


def _step_numbers(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:
    """The numbers of steps and ranges of steps: 14, 1-11, 1-3,9."""
    steps: list[int] = []
    for part in ",".join(values).split(",") if values else ():
        match = re.fullmatch(r"\s*([0-9]{1,2})\s*(?:-\s*([0-9]{1,2})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= _STEPS:
            raise click.BadParameter(f"{part!r} is no step or range of steps from 1 to {_STEPS}, such as 14 or 1-11", ctx, param)
        steps += range(first, last + 1)
    return tuple(steps)


@click.command()
@engine_options
@click.option(
    "--step", "steps", multiple=True, callback=_step_numbers, metavar="N[-M]", help="Only this step or these (repeatable)."
)
@click.option("--quick", is_flag=True, help="Leave out what walks whole disks or asks for every pid, and say so.")
@click.option("--format", "form", type=click.Choice(_FORMS), default="text", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the report there instead of printing it.")
@language_option
@click.option("--fail-on", type=click.Choice(SEVERITIES), default="low", show_default=True, help="Findings from here on exit 1.")
@click.option("--container", metavar="ID|NAME|all", help="The files of running containers instead of this host's (text or json).")
@pack_option
def triage(
    options: EngineOptions,
    steps: tuple[int, ...],
    quick: bool,
    form: str,
    output: Optional[Path],
    lang: str,
    fail_on: str,
    container: Optional[str],
    folder: Optional[Path],
) -> None:
    """Run the SOP on this host: exit 0 = nothing at or above --fail-on, 1 = findings, 2 = could not run, 130 = interrupted.

    Interrupted, it reports what was found so far.
    """
    pack = open_pack(folder)
    if container is not None:
        _triage_containers(options, pack, container, steps, form, output, lang, fail_on)
        return
    if form not in ("text", "html", "md", "json"):
        _exporter()
    if output is not None:
        # Now, not after minutes of work.
        to_file(private_file.check, output)
    # Printed as text on standard output, the steps shown while it works are the report's first part.
    is_shown = form == "text" and output is None
    console = text_report.open_console(sys.stdout if is_shown else sys.stderr)
    with closing(options.open(is_triage=True, is_quick=quick)) as opened:
        console.print(Text(f"minehunt {__version__}: engine {opened.name} ({opened.version})", style="dim"))
        with console.status("") as status:
            result = run_triage(
                pack,
                opened,
                steps,
                begin=lambda step: status.update(Text(f"{step.step}  {step.title.get(lang)}", style="dim")),
                done=lambda step: console.print(text_report.progress_line(step, lang)),
                without_tables=_WALKS if quick else (),
            )
        facts = collect(opened) if form in ("html", "md") else Facts()
    if is_shown:
        text_report.print_details(console, result, lang)
    else:
        write_out(_render(form, result, facts, lang), output)
    if result.is_interrupted:
        sys.exit(INTERRUPTED)
    if result.has_finding(fail_on):
        sys.exit(FOUND)


def _triage_containers(
    options: EngineOptions,
    pack: Pack,
    wanted: str,
    steps: tuple[int, ...],
    form: str,
    output: Optional[Path],
    lang: str,
    fail_on: str,
) -> None:
    """Print what is found below each container's root folder."""
    host = options.host(is_triage=True)
    if form not in ("text", "json") or not host.is_live or options.engine == "osquery":
        raise CannotRunError("--container gives text or json, of containers of the running system, by the embedded engine")
    found = list(triage_containers(pack, host, chosen(host, wanted), steps))
    if form == "json":
        report = json.dumps([{"container": one.title, **json_report.as_document(one.triage)} for one in found], indent=2) + "\n"
    else:
        report = "\n".join(f"{one.title}\n{text_report.render(one.triage, lang)}" for one in found)
    write_out(report, output)
    if any(one.triage.has_finding(fail_on) for one in found):
        sys.exit(FOUND)


def _render(form: str, result: Triage, facts: Facts, lang: str) -> str:
    if form == "json":
        return json_report.render(result)
    if form == "text":
        return text_report.render(result, lang)
    if form in ("html", "md"):
        # Only these two need Jinja2, which takes a while to load.
        from extension.report import html, markdown

        return html.render(result, facts, lang) if form == "html" else markdown.render(result, facts, lang)
    return _exporter()(form, result)


def _exporter() -> Callable[[str, Triage], str]:
    try:
        from extension.export import render
    except ModuleNotFoundError:
        raise CannotRunError("this form is not in the file that is for osquery; minehunt's wheel or repository has it") from None
    return render
