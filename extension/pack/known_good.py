"""A query's `known_good:` key: what of a row is compared with the site's list of what is normal, put into its SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tables.indicators.known_good_list import CATEGORIES

# Stands in the SQL where the condition goes: `WHERE … AND {known_good}`.
MARKER = "{known_good}"


def expanded(sql: str, keys: Mapping[str, str]) -> str:
    """`sql` with the condition that no pattern in force matches, in the marker's place and on its line.

    `keys` maps a category of the list to the SQL expression of its key text, such as `{"process": "exe_path"}`.
    """
    # The pack's own text, which is SQL already.
    conditions = [
        f"NOT EXISTS (WITH k AS MATERIALIZED (SELECT pattern FROM known_good WHERE category = '{category}')"  # noqa: S608
        f" SELECT 1 FROM k WHERE {key} GLOB k.pattern)"
        for category, key in keys.items()
    ]
    condition = " AND ".join(conditions)
    return sql.replace(MARKER, f"({condition})" if len(conditions) > 1 else condition)


def key_problems(sql: str, keys: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What is wrong with the key and its marker: (the category, or `sql` or `known_good` at large; what the author is told)."""
    for category, key in keys.items():
        if category not in CATEGORIES:
            yield category, f"`known_good` has the unknown category `{category}`; one of {', '.join(CATEGORIES)}"
        elif not isinstance(key, str) or not key.strip():
            yield category, f"`{category}` of `known_good` must be the SQL expression of its key text: {CATEGORIES[category].key}"
    if keys and MARKER not in sql:
        yield "known_good", f"the SQL lacks `{MARKER}`, the place of the condition that `known_good` makes"
    if MARKER in sql and not keys:
        yield "sql", f"the SQL has `{MARKER}`, and the query no key `known_good` that says what is compared"
