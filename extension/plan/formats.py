"""A plan as text for a terminal, as Markdown, as JSON, and as a shell script in which every line is commented out."""

from __future__ import annotations

import json
from collections.abc import Iterator

from extension import __version__
from extension.incidents import Incident, sentence
from extension.pack.parts import LANGUAGES
from extension.plan import Plan, PlanStep
from extension.report.code_spans import code_span
from extension.report.words import words as report_words
from tables.schema import clean_text

_WORDS = {
    "en": {
        "title": "Plan for {}", "nothing": "Nothing was found, so there is nothing to do.",
        "refused": "its value could be misread: take it from the JSON report", "for": "for",
        "closed": "Nothing here runs until you take the # from the front of a line. Read each line before you do.",
    },
    "zh": {
        "title": "{} 的处置方案", "nothing": "未发现异常，无需处置。",
        "refused": "其中的值可能被误读，请从 JSON 报告中取用", "for": "依据",
        "closed": "去掉行首的 # 之前，任何一行都不会执行。请先逐行阅读。",
    },
}  # fmt: skip


def _words(language: str) -> dict[str, str]:
    return {**report_words(language), **_WORDS[language]}


def as_text(plan: Plan, incidents: tuple[Incident, ...], language: str) -> str:
    """The plan for reading and typing: each command on a line of its own."""
    words = _words(language)
    lines = [words["title"].format(clean_text(plan.hostname)), ""]
    lines += [clean_text(sentence(incident, language)) for incident in incidents if incident.is_compromise]
    if not plan.steps:
        lines.append(words["nothing"])
    number = 0
    for phase, steps in plan.phases():
        lines += ["", words[phase]]
        for step in steps:
            number += 1
            lines.append(f"{number:>4}. {_told(step, words)}")
            if step.command:
                lines.append(f"      {step.command}")
    return "\n".join(lines) + "\n"


def as_markdown(plan: Plan, incidents: tuple[Incident, ...], language: str) -> str:
    """The plan as a list to tick off; what came from the host stands in code."""
    words = _words(language)
    lines = [f"# {words['title'].format(code_span(plan.hostname))}", ""]
    lines += [f"{code_span(sentence(incident, language))}\n" for incident in incidents if incident.is_compromise]
    if not plan.steps:
        lines.append(words["nothing"])
    for phase, steps in plan.phases():
        lines += ["", f"## {words[phase]}", ""]
        for step in steps:
            told = f"- [ ] {code_span(_told(step, words)) if step.queries else step.text}"
            lines.append(f"{told}  \n  {code_span(step.command)}" if step.command else told)
    return "\n".join(lines) + "\n"


def as_json(plan: Plan, incidents: tuple[Incident, ...]) -> str:
    """The plan as data: per step phase, text, command (null where it is for people), and the queries that ask for it."""
    document = {
        "minehunt": __version__,
        "host": plan.hostname,
        "incidents": [
            {
                "severity": incident.severity,
                "confidence": incident.confidence,
                "sentence": {language: sentence(incident, language) for language in LANGUAGES},
            }
            for incident in incidents
        ],
        "steps": [
            {
                "phase": step.phase,
                "text": step.text,
                "command": step.command or None,
                "is_refused": step.is_refused,
                "queries": list(step.queries),
            }
            for step in plan.steps
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


_SCRIPT_HEAD = """\
#!/bin/sh
# {title}
# {closed}
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin

# Whether a pid is still the process that was found: still PID START. A hidden one cannot be asked, and counts as that.
still() {{
  [ -r "/proc/$1/stat" ] || return 0
  ticks=$(sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 20)
  boot=$(sed -n 's/^btime //p' /proc/stat)
  gap=$((boot + ticks / $(getconf CLK_TCK) - $2))
  [ "$gap" -ge -2 ] && [ "$gap" -le 2 ]
}}
"""


def as_script(plan: Plan, incidents: tuple[Incident, ...], language: str) -> str:
    """A shell script that does nothing yet: each command stands behind a # that the responder takes away."""
    words = _words(language)
    title = words["title"].format(clean_text(plan.hostname))
    lines = [_SCRIPT_HEAD.format(title=title, closed=words["closed"])]
    lines += [f"# {clean_text(sentence(incident, language))}" for incident in incidents if incident.is_compromise]
    for phase, steps in plan.phases():
        lines += ["", f"### {words[phase]}"]
        for step in steps:
            lines += _script_step(step, words)
    return "\n".join(lines) + "\n"


def _script_step(step: PlanStep, words: dict[str, str]) -> Iterator[str]:
    yield f"# {_told(step, words)}"
    if step.command:
        # What only looks may find nothing, which is no reason to stop.
        command = f"{step.command} || :" if step.phase in ("preserve", "verify") and step.queries else step.command
        yield f"#if still {step.process[0]} {step.process[1]}; then {command}; fi" if step.process else f"#{command}"


def _told(step: PlanStep, words: dict[str, str]) -> str:
    text = clean_text(step.text)
    if step.is_refused:
        text += f" ({words['refused']})"
    return text + (f"  [{', '.join(step.queries)}]" if step.queries else "")
