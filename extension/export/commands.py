"""`minehunt export`: a triage's findings and indicators for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import click

from extension.command_line import EngineOptions, engine_options, examined, open_pack, pack_option, write_out
from extension.export import FORMATS, render


@click.command("export")
@click.argument("report", required=False, type=click.Path(path_type=Path), metavar="[REPORT.json]")
@engine_options
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="stix and misp: indicators; others: findings.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead of printing it.")
@pack_option
def export(report: Optional[Path], options: EngineOptions, form: str, output: Optional[Path], folder: Optional[Path]) -> None:
    """Write the findings of REPORT.json (a triage's), or of this host as it is now, or what others can hunt for by them."""
    write_out(render(form, examined(report, options, open_pack(folder))), output)
