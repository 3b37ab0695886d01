"""A finished triage as its report shows it, in one language: what HTML and Markdown both lay out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from extension import __version__
from extension.engines import ResultRow
from extension.incidents import Finding as Found
from extension.incidents import told
from extension.incidents.steps import Segments, Todo, all_todos, prose
from extension.pack.parts import SEVERITIES, Query
from extension.plan import Plan, PlanStep, make_plan
from extension.report import drawing, suspects, timeline
from extension.report.facts import Facts
from extension.report.stories import Story, story
from extension.report.values import shown, shown_column
from extension.report.words import words
from extension.triage import ABNORMAL, ERROR, INCOMPLETE, NEEDS_ROOT, NOT_APPLICABLE, QueryResult, StepResult, Triage, iso_time
from tables.schema import clean_text

_ROWS_SHOWN = 20
_FIRST = 5
_LINE = 160
# What to do is told of at most so many rows of one query; the plan has all.
ROWS_TOLD = 5
# Commands of the plan on the first page.
_COMMANDS_SHOWN = 12


@dataclass(frozen=True)
class FoundRow:
    """One row of a finding: what it says, and its other columns as (name, value)."""

    evidence: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Finding:
    """A detection that gave rows, or a policy that gave none."""

    name: str
    title: str
    step: StepResult
    severity: str
    stage: str
    attack: tuple[str, ...]
    count: int
    description: Segments
    false_positives: tuple[Segments, ...]
    rows: tuple[FoundRow, ...]
    todos: tuple[Todo, ...]

    @property
    def left_out(self) -> int:
        """Rows that are not shown."""
        return self.count - len(self.rows)

    @property
    def is_told_in_part(self) -> bool:
        """Whether there are too many rows to say of each what to do."""
        return self.count > ROWS_TOLD


@dataclass(frozen=True)
class View:
    """All that a report says. `words` are the report's own; (label, value) pairs name their label by key of `words`."""

    triage: Triage
    language: str
    words: dict[str, str]
    findings: tuple[Finding, ...]
    policies: tuple[Finding, ...]
    stories: tuple[Story, ...]
    plan: Plan
    forest: suspects.Forest
    events: tuple[timeline.Event, ...]
    events_left_out: int
    drawing: drawing.Drawing
    host: tuple[tuple[str, str], ...]
    unchecked: tuple[tuple[str, str, str], ...]

    @property
    def first(self) -> tuple[Finding, ...]:
        """What to look at first: what mines, then the gravest findings."""
        return tuple(sorted(self.findings, key=lambda one: (one.stage != "mining", timeline.gravity(one.severity)))[:_FIRST])

    @property
    def first_commands(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The plan's first commands, by phase."""
        shown: list[tuple[str, tuple[str, ...]]] = []
        left = _COMMANDS_SHOWN
        for phase, steps in self.plan.phases():
            commands = tuple(step.command or self.words["refused"] for step in steps if _is_to_type(step))[:left]
            left -= len(commands)
            if commands:
                shown.append((phase, commands))
        return tuple(shown)

    @property
    def commands_left_out(self) -> int:
        """Commands of the plan that are not among the first."""
        return max(0, sum(map(_is_to_type, self.plan.steps)) - _COMMANDS_SHOWN)

    @property
    def means(self) -> str:
        """What the verdict means, for a partial run with the steps that it is about."""
        return verdict_means(self.triage, self.words)

    @property
    def severities(self) -> dict[str, int]:
        """Findings (rows) by severity, the gravest first; those that occur."""
        counts = {name: sum(f.count for f in self.findings if f.severity == name) for name in SEVERITIES}
        return {name: count for name, count in counts.items() if count}

    @property
    def lacks_root(self) -> bool:
        """Whether root would see more."""
        return any(step.status == NEEDS_ROOT for step in self.triage.steps)

    def shown(self, value: str) -> str:
        """A string of the host's as the report may print it."""
        return shown(value, self.words["characters"])

    def when(self, seconds: float) -> str:
        """A time as people read it, in UTC."""
        return iso_time(seconds).replace("T", " ").rstrip("Z")

    def told(self, event: timeline.Event) -> str:
        """An event in words, without its time: lane, what it is about, and what happened."""
        subject, *more = map(self.shown, event.subject)
        about = f"{subject} ({' '.join(more)})" if more else subject
        return about + self.words["colon"] + self.words["comma"].join(self.words[word] for word in event.words)

    def first_evidence(self, finding: Finding) -> str:
        """What stands for a finding in one line: the evidence of its first row, cut short."""
        evidence = finding.rows[0].evidence if finding.rows else ""
        return evidence if len(evidence) <= _LINE else evidence[:_LINE] + "…"

    def spent(self, step: StepResult) -> str:
        """Seconds that a step took."""
        return f"{sum(query.elapsed_ms for query in step.queries) / 1000:.1f}"

    def gravest(self, step: StepResult) -> str:
        """The worst severity of what is abnormal in a step, "" when nothing is."""
        abnormal = [query.query.severity for query in step.queries if query.status == ABNORMAL]
        return min(abnormal, key=timeline.gravity, default="")

    def findings_of(self, step: StepResult) -> int:
        """Rows of a step's detections, and its policies that fail."""
        return sum(query.findings or (query.query.kind == "policy" and query.status == ABNORMAL) for query in step.queries)


def _is_to_type(step: PlanStep) -> bool:
    return bool(step.command) or step.is_refused


def view(triage: Triage, facts: Facts, language: str) -> View:
    """Everything the report says, `language` being en or zh."""
    texts = words(language)
    told = [(step, query) for step in triage.steps for query in step.queries if query.status == ABNORMAL]
    findings = [_finding(step, query, language, texts) for step, query in told]
    listed, left_out = timeline.events(triage)
    return View(
        triage=triage,
        language=language,
        words=texts,
        findings=tuple(finding for finding in findings if finding.count),
        stories=tuple(story(incident, language) for incident in triage.incidents if incident.is_compromise),
        plan=make_plan(triage.incidents, triage.host.get("hostname", ""), triage.finished, language),
        policies=tuple(sorted((f for f in findings if not f.count), key=lambda f: timeline.gravity(f.severity))),
        forest=suspects.forest(triage),
        events=tuple(listed),
        events_left_out=left_out,
        drawing=drawing.draw(listed, triage.finished),
        host=tuple((label, shown(value, texts["characters"])) for label, value in _host(triage, facts, texts) if value),
        unchecked=tuple(
            (clean_text(what), texts[why], shown(text, texts["characters"])) for what, why, text in _unchecked(triage, texts)
        ),
    )


def _finding(step: StepResult, result: QueryResult, language: str, texts: dict[str, str]) -> Finding:
    query = result.query
    return Finding(
        name=query.name,
        title=query.title.get(language) or query.name,
        step=step,
        severity=query.severity,
        stage=query.stage,
        attack=query.attack,
        count=result.findings,
        description=prose(query.description.get(language)),
        false_positives=tuple(prose(text.get(language)) for text in query.false_positives),
        rows=tuple(_found_row(query, row, language, texts) for row in result.rows[:_ROWS_SHOWN]),
        todos=todos_of(result, language),
    )


def todos_of(result: QueryResult, language: str) -> tuple[Todo, ...]:
    """What to do about the first rows of a query's result, or about a policy that has none."""
    return all_todos(result.query, result.rows[:ROWS_TOLD] or ({},), language)


def evidence_of(query: Query, row: ResultRow, language: str) -> str:
    """What a row shows: the query's own words, in Chinese the pack's with the row's values."""
    return told(Found(query, row), language) if language == "zh" and query.says else row.get("evidence", "")


def verdict_means(triage: Triage, texts: dict[str, str]) -> str:
    """What the verdict of a triage means, for a partial run with the steps that it is about."""
    meaning = texts[triage.verdict + "_means"]
    numbers = [step.step.step for step in triage.steps]
    is_range = len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1))
    steps = f"{numbers[0]}-{numbers[-1]}" if is_range else texts["comma"].join(map(str, numbers))
    return meaning.format(steps=steps, count=len(triage.steps), all=triage.steps_in_pack)


def _found_row(query: Query, row: ResultRow, language: str, texts: dict[str, str]) -> FoundRow:
    says = evidence_of(query, row, language)
    columns = ((name, value) for name, value in row.items() if value and value != says)
    return FoundRow(
        shown(says, texts["characters"]),
        tuple((clean_text(name), shown_column(name, value, texts["characters"])) for name, value in columns),
    )


def _host(triage: Triage, facts: Facts, texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    yield from triage.host.items()
    host = facts.host
    if host.get("uptime", "").isdigit():
        days, rest = divmod(int(host["uptime"]), 86400)
        yield "uptime", f"{days} {texts['day']} {rest // 3600} {texts['hour']} {rest % 3600 // 60} {texts['minute']}"
    yield "cpu", " × ".join(filter(None, (host.get("cpu_logical_cores"), host.get("cpu_brand"))))
    if host.get("physical_memory", "").isdigit():
        yield "memory", f"{int(host['physical_memory']) / (1 << 30):.1f} GiB"
    yield "hardware", " ".join(filter(None, (host.get("hardware_vendor"), host.get("hardware_model"))))
    yield "kernel_arguments", host.get("kernel_arguments", "")
    yield "version", __version__
    yield "engine", f"{triage.engine_name} {triage.engine_version}"
    for row in facts.indicators or ():
        yield "indicators", texts["pool_list"].format_map(row)
    for row in facts.known_good or ():
        yield "known_good", texts["known_good_list"].format_map(row)
    for label, lists in (("indicators", facts.indicators), ("known_good", facts.known_good)):
        if lists is None:
            yield label, texts["not_read"]
    yield "generated", iso_time(triage.finished).replace("T", " ").replace("Z", " UTC")
    yield "duration", f"{triage.finished - triage.started:.0f} {texts['second']}"


def _unchecked(triage: Triage, texts: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """(query or table, word for its state, why)."""
    for result in triage.results:
        if result.status == NOT_APPLICABLE:
            yield result.query.name, result.status, texts["not-applicable_means"]
        elif result.status in (ERROR, NEEDS_ROOT):
            yield result.query.name, result.status, result.error or ""
        if result.cuts:
            cuts = texts["comma"].join(f"{cut.table}{texts['colon']}{cut.why}" for cut in result.cuts)
            yield result.query.name, INCOMPLETE, cuts
    for spot in triage.blind_spots:
        yield spot.table, "limited", spot.why
