"""`minehunt plan`: what to do about all that was found, in the order in which it works."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import click

from extension.command_line import EngineOptions, engine_options, examined, language_option, open_pack, pack_option, write_out
from extension.plan import make_plan
from extension.plan.formats import as_json, as_markdown, as_script, as_text


@click.command()
@click.argument("report", required=False, type=click.Path(path_type=Path), metavar="[REPORT.json]")
@engine_options
@click.option("--format", "form", type=click.Choice(["text", "md", "json", "sh"]), default="text", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the plan there instead of printing it.")
@language_option
@pack_option
def plan(
    report: Optional[Path], options: EngineOptions, form: str, output: Optional[Path], lang: str, folder: Optional[Path]
) -> None:
    """Print what to do about the findings of REPORT.json (a triage's), or of this host as it is now; nothing of it is run.

    With --format sh every line is commented out until somebody opens it.
    """
    triage = examined(report, options, open_pack(folder))
    made = make_plan(
        triage.incidents,
        triage.host.get("hostname", ""),
        triage.finished,
        lang,
        str(report.resolve() if report else "REPORT.json"),
    )
    if form == "json":
        text = as_json(made, triage.incidents)
    else:
        text = {"text": as_text, "md": as_markdown, "sh": as_script}[form](made, triage.incidents, lang)
    write_out(text, output)
