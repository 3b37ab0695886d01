"""`minehunt compare` and `minehunt watch`."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any, Optional

import click

from extension.command_line import (
    FOUND,
    INTERRUPTED,
    CannotRunError,
    EngineOptions,
    engine_options,
    language_option,
    open_pack,
    pack_option,
    write_out,
)
from extension.incidents import Finding, told
from extension.watch.compare import Comparison
from extension.watch.compare import compare as compare_triages
from tables.schema import clean_text

_PARTS = ("still", "back", "new", "gone", "unchecked")
_UNITS = {"s": 1, "m": 60, "h": 3600}
_WORDS = {
    "en": {
        "still": "Still there", "back": "Back under another pid", "new": "New", "gone": "Gone",
        "unchecked": "Not checked this time",
        "clean": "All {gone} findings of the earlier report are gone, and nothing came back.",
        "nothing": "Nothing was found, then or now.",
        "dirty": "{all} findings: {gone} gone, {still} still there, {back} back, {unchecked} not checked; {new} new.",
        "appears": "appears", "there": "is there", "vanishes": "disappears", "returns": "COMES BACK", "by": "started by {}",
        "watching": "watching {count} queries every {every:g} s for {span}; Ctrl-C ends it",
        "no_return": "Nothing came back in {span}.", "returned": "{count} came back in {span}: {names}.",
    },
    "zh": {
        "still": "仍然存在", "back": "以新 pid 再次出现", "new": "新增", "gone": "已清除", "unchecked": "本次未检查",
        "clean": "先前报告中的 {gone} 项发现均已清除，没有死灰复燃。",
        "nothing": "两次均未发现异常。",
        "dirty": "共 {all} 项：{gone} 项已清除，{still} 项仍在，{back} 项再次出现，{unchecked} 项未检查；新增 {new} 项。",
        "appears": "出现", "there": "已存在", "vanishes": "消失", "returns": "再次出现", "by": "由 {} 启动",
        "watching": "每 {every:g} 秒检查 {count} 项查询，持续 {span}；按 Ctrl-C 结束",
        "no_return": "{span} 内没有死灰复燃。", "returned": "{span} 内有 {count} 项再次出现：{names}。",
    },
}  # fmt: skip


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """The seconds of a span of time: 90, 90s, 15m, 2h."""
    match = re.fullmatch(r"([0-9]{1,6})([smh]?)", value.strip())
    if match is None or not int(match[1]):
        raise click.BadParameter(f"{value!r} is no span of time such as 30s, 15m or 2h", ctx, param)
    return float(int(match[1]) * _UNITS[match[2] or "s"])


@click.command()
@click.argument("old", type=click.Path(path_type=Path), metavar="OLD.json")
@click.argument("new", type=click.Path(path_type=Path), metavar="NEW.json")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead of printing it.")
@language_option
@pack_option
def compare(old: Path, new: Path, form: str, output: Optional[Path], lang: str, folder: Optional[Path]) -> None:
    """Say what became of the findings of one report by the time of another: exit 0 = all gone, 1 = something is there."""
    from extension.report.saved import ReportError, read_report

    pack = open_pack(folder)
    try:
        result = compare_triages(read_report(old, pack), read_report(new, pack))
    except ReportError as error:
        raise CannotRunError(str(error)) from None
    write_out(_as_json(result) if form == "json" else _as_text(result, lang), output)
    if not result.is_clean:
        sys.exit(FOUND)


@click.command()
@engine_options
@click.option("--for", "span", callback=_seconds, default="15m", show_default=True, help="How long: 30s, 15m, 2h.")
@click.option("--every", callback=_seconds, default="5s", show_default=True, help="Time between two looks.")
@language_option
@pack_option
def watch(options: EngineOptions, span: float, every: float, lang: str, folder: Optional[Path]) -> None:
    """Show live what appears, disappears and comes back, and who started it: exit 1 = something came back."""
    from extension.watch.rounds import Event, Watch

    words = _WORDS[lang]
    host = options.host()
    if not host.is_live:
        raise CannotRunError("only a running system can be watched")
    watched = Watch(open_pack(folder), host)
    length = _length(span)
    click.echo(words["watching"].format(count=len(watched.queries), every=every, span=length), err=True)

    def tell(event: Event) -> None:
        started = words["by"].format(clean_text(event.starter)) if event.starter else ""
        stamp = time.strftime("%H:%M:%S", time.localtime(event.time))
        what = "  ".join(filter(None, (told(event.finding, lang), started, f"[{', '.join(event.queries)}]")))
        click.echo(f"{stamp}  {words[event.what]}  {clean_text(what)}")

    returned, is_interrupted = watched.run(span, every, tell)
    if returned:
        names = ", ".join(clean_text(told(finding, lang)) for finding in returned)
        click.echo(words["returned"].format(count=len(returned), span=length, names=names))
        sys.exit(FOUND)
    click.echo(words["no_return"].format(span=_length(time.time() - watched.began) if is_interrupted else length))
    if is_interrupted:
        sys.exit(INTERRUPTED)


def _length(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 and not seconds % 60 else f"{seconds:.0f} s"


def _as_text(result: Comparison, language: str) -> str:
    words = _WORDS[language]
    lines = []
    for part in _PARTS:
        findings: list[Finding] = getattr(result, part)
        if findings:
            lines += [words[part], *(f"  {clean_text(told(one, language))}  [{one.query.name}]" for one in findings), ""]
    counts = {part: len(getattr(result, part)) for part in _PARTS}
    key = "dirty" if not result.is_clean else "clean" if result.gone else "nothing"
    all_old = sum(counts[part] for part in _PARTS if part != "new")
    lines.append(words[key].format(all=all_old, **counts))
    return "\n".join(lines) + "\n"


def _as_json(result: Comparison) -> str:
    document: dict[str, Any] = {"is_clean": result.is_clean}
    for part in _PARTS:
        document[part] = [
            {"query": one.query.name, "severity": one.query.severity, "says": told(one, "en"), "row": dict(one.row)}
            for one in getattr(result, part)
        ]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
