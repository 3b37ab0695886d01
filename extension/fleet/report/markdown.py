"""The fleet report as Markdown: whatever came from a host stands in code, so that it can make no markup, link or HTML."""

from __future__ import annotations

from collections.abc import Iterator

from extension.fleet.report.document import Document
from extension.fleet.report.times import over_since, when
from extension.fleet.report.words import words
from extension.report.markdown import cell, code
from extension.report.values import shown

_ROWS = 40


def render(document: Document, language: str) -> str:
    """The report in CommonMark with tables, `language` being en or zh."""
    return "\n".join(_lines(document, language)) + "\n"


def _lines(d: Document, language: str) -> Iterator[str]:
    w = words(language)

    def value(text: str) -> str:
        return code(shown(text, w["characters"]))

    def column(text: str) -> str:
        return cell(shown(text, w["characters"]))

    yield f"# {w['fleet_report']}\n"
    yield f"**{d['sentence'][language]}**\n"
    yield f"{when(d['now'])} UTC\n"
    for one in d["campaigns"]:
        yield f"## {w['campaign']} {one['name']} · {w[one['severity']]} · {len(one['hosts']):,} {w['hosts']}\n"
        yield f"- {w['first_host']}{w['colon']}{value(one['hosts'][0]['host'])} {when(one['began'])}"
        yield f"- {value(one['sentence'][language])}"
        for each in one["entry"][:5]:
            yield f"- {w['came_in']}{w['colon']}{value(each[language])}"
        for each in one["variants"]:
            yield f"- {w['variants']}{w['colon']}{w[each['kind']]} ({each['different']})"
        yield f"- {w['hosts']}{w['colon']}" + w["comma"].join(
            value(each["host"]) + over_since(each["ended"], w) for each in one["hosts"][:_ROWS]
        )
        for each in one["logins"][:_ROWS]:
            yield f"- {w['logins']}{w['colon']}{value(each['from'])} → {value(each['to'])} {when(each['time'])}"
        for each in one["outside"][:_ROWS]:
            yield f"- {w['outside']}{w['colon']}{value(each['address'])} → {value(each['to'])} {when(each['time'])}"
        if one["indicators"]:
            yield f"- {w['block']}{w['colon']}" + w["comma"].join(value(each["value"]) for each in one["indicators"][:_ROWS])
        yield f"\n| {w['shared']} | | {w['hosts']} |\n|---|---|---|"
        for each in one["shared"][:_ROWS]:
            yield f"| {w[each['kind']]} | {column(each['value'])} | {each['hosts']} |"
        yield ""
    if d["next"]:
        yield f"## {w['next']}\n\n{w['next_means']}\n\n| {w['host']} | {w['why']} |\n|---|---|"
        for one in d["next"][:_ROWS]:
            why = w["comma"].join(f"{w[each['kind']]} {column(each['what'])} ({each['campaign']})" for each in one["reasons"][:4])
            yield f"| {column(one['host'])} | {why} |"
        yield ""
    if d["alike"]:
        yield f"## {w['alike']}\n\n{w['alike_means']}\n\n| {w['what']} | {w['hosts']} |\n|---|---|"
        for one in d["alike"][:_ROWS]:
            yield f"| {one['query']} {column(one['things'][0]['value']) if one['things'] else ''} | {len(one['hosts'])} |"
        yield ""
    if d["incidents"]:
        yield f"## {w['incidents']}\n\n| {w['host']} | {w['campaign']} | {w['severity']} | {w['what']} |\n|---|---|---|---|"
        for one in d["incidents"][: 10 * _ROWS]:
            yield f"| {column(one['host'])} | {one['campaign']} | {w[one['severity']]} | {column(one['sentence'][language])} |"
        yield ""
    if d["rare"]:
        yield f"## {w['rare']}\n\n{w['rare_means']}\n\n| {w['what']} | {w['hosts']} | {w['since']} |\n|---|---|---|"
        for one in d["rare"][:_ROWS]:
            names = w["comma"].join(column(each["host"]) for each in one["hosts"][:5])
            yield f"| {' '.join(column(each['example']) for each in one['things'][:4])} | {names} | {when(one['since'])} |"
        yield ""
    covered = d["coverage"]
    yield f"## {w['coverage']}\n\n{w['silence_means'].format(hours=covered['silence_seconds'] // 3600, now=when(d['now']))}\n"
    if not covered["has_heartbeat"]:
        yield f"{w['no_heartbeat']}\n"
    for one in covered["silent"]:
        yield f"- {w['silent']}{w['colon']}{value(one['host'])} {when(one['last_heard'])}"
    for kind, count in covered["problems"].items():
        yield f"- {w[kind]}{w['colon']}{count:,}"
    for problem in d["sources"]["problems"]:
        yield f"- {w['broken']}{w['colon']}{value(problem['place'])} {value(problem['why'])}"
