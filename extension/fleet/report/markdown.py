"""The fleet report as Markdown: whatever came from a host stands in code, so that it can make no markup, link or HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from extension.fleet.report.called import called
from extension.fleet.report.cut import in_line, left_out, some
from extension.fleet.report.document import Document
from extension.fleet.report.times import over_since, silence, when
from extension.fleet.report.words import rare_kind, words
from extension.report.markdown import cell, code
from extension.report.values import shown

_ROWS, _INCIDENTS, _NAMED, _SOME = 40, 400, 5, 4


def render(document: Document, language: str) -> str:
    """The report in CommonMark with tables, `language` being en or zh."""
    return "\n".join(_lines(document, language)) + "\n"


def _lines(d: Document, language: str) -> Iterator[str]:
    w = words(language)

    def value(text: str) -> str:
        return code(shown(text, w["characters"]))

    def column(text: str) -> str:
        return cell(shown(text, w["characters"]))

    names = called(d)

    def host(one: Document, key: str = "key") -> str:
        return value(names[one[key]])

    def hosts(listed: list[Document]) -> str:
        return in_line([column(names[each["key"]]) for each in listed], _NAMED, w["comma"])

    def items(label: str, texts: Iterable[str], most: int = _ROWS) -> Iterator[str]:
        return (f"- {label}{w['colon']}{text}" for text in some(texts, most))

    def more(count: int) -> str:
        """What stands below a table."""
        return f"\n{left_out(count)}\n" if count > 0 else ""

    yield f"# {w['fleet_report']}\n"
    yield f"**{d['sentence'][language]}**\n"
    yield f"{when(d['now'])} UTC\n"
    for one in d["campaigns"]:
        yield f"## {w['campaign']} {one['name']} · {w[one['severity']]} · {len(one['hosts']):,} {w['hosts']}\n"
        yield f"- {w['first_host']}{w['colon']}{host(one['hosts'][0])} {when(one['began'])}"
        yield f"- {value(one['sentence'][language])}"
        yield from items(w["came_in"], (value(each[language]) for each in one["entry"]), _NAMED)
        yield from items(w["variants"], (f"{w[each['kind']]} ({each['different']})" for each in one["variants"]))
        yield f"- {w['hosts']}{w['colon']}" + in_line(
            [host(each) + over_since(each["ended"], w) for each in one["hosts"]], _ROWS, w["comma"]
        )
        steps = (f"{host(each, 'from_key')} → {host(each, 'to_key')} {when(each['time'])}" for each in one["logins"])
        yield from items(w["logins"], steps)
        came = (f"{value(each['address'])} → {host(each, 'to_key')} {when(each['time'])}" for each in one["outside"])
        yield from items(w["outside"], came)
        if one["indicators"]:
            yield f"- {w['block']}{w['colon']}" + in_line([value(each["value"]) for each in one["indicators"]], _ROWS, w["comma"])
        yield f"\n| {w['shared']} | | {w['hosts']} |\n|---|---|---|"
        for each in one["shared"][:_ROWS]:
            yield f"| {w[each['kind']]} | {column(each['value'])} | {each['hosts']} |"
        yield more(len(one["shared"]) - _ROWS)
    if d["next"]:
        yield f"## {w['next']}\n\n{w['next_means']}\n\n| {w['host']} | {w['why']} |\n|---|---|"
        for one in d["next"][:_ROWS]:
            why = [f"{w[each['kind']]} {column(each['what'])} ({each['campaign']})" for each in one["reasons"]]
            yield f"| {column(names[one['key']])} | {in_line(why, _SOME, w['semicolon'])} |"
        yield more(len(d["next"]) + d["next_left_out"] - _ROWS)
    if d["alike"]:
        yield f"## {w['alike']}\n\n{w['alike_means']}\n\n| {w['what']} | {w['hosts']} |\n|---|---|"
        for one in d["alike"][:_ROWS]:
            found = f"{one['query']} {column(one['things'][0]['value']) if one['things'] else ''}"
            yield f"| {found} | {len(one['hosts'])}{w['colon']}{hosts(one['hosts'])} |"
        yield more(len(d["alike"]) - _ROWS)
    if d["incidents"]:
        yield f"## {w['incidents']}\n\n| {w['host']} | {w['campaign']} | {w['severity']} | {w['what']} |\n|---|---|---|---|"
        for one in d["incidents"][:_INCIDENTS]:
            told = f"{one['campaign']} | {w[one['severity']]} | {column(one['sentence'][language])}"
            yield f"| {column(names[one['key']])} | {told} |"
        yield more(len(d["incidents"]) - _INCIDENTS)
    if d["rare"]:
        yield f"## {w['rare']}\n\n{w['rare_means']}\n\n| {w['what']} | {w['hosts']} | {w['since']} |\n|---|---|---|"
        for one in d["rare"][:_ROWS]:
            things = [f"{rare_kind(each['kind'], language)} {column(each['example'])}" for each in one["things"]]
            yield f"| {in_line(things, _SOME, w['semicolon'])} | {hosts(one['hosts'])} | {when(one['since'])} |"
        yield more(len(d["rare"]) + d["rare_left_out"] - _ROWS)
    covered = d["coverage"]
    yield f"## {w['coverage']}\n\n{silence(d, w)}\n"
    if not covered["has_heartbeat"]:
        yield f"{w['no_heartbeat']}\n"
    for one in covered["silent"]:
        yield f"- {w['silent']}{w['colon']}{host(one)} {when(one['last_heard'])}"
    for kind, count in covered["problems"].items():
        yield f"- {w[kind]}{w['colon']}{count:,}"
    for problem in d["sources"]["problems"]:
        yield f"- {w['broken']}{w['colon']}{value(problem['place'])} {value(problem['why'])}"
    yield left_out(d["sources"]["problems_left_out"])
