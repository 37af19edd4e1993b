"""`drivecoach data report`: a file of pairs as a page, in the look of the report of a run."""

from __future__ import annotations

from drivecoach.data.coverage import Coverage
from drivecoach.report import page


def render(coverage: Coverage) -> str:
    """The page of what a file of pairs covers."""
    closed = [field for field in coverage.fields if field.closed]
    values = [count for field in closed for count in field.counts.values()]
    names = list(dict.fromkeys(name for one in coverage.together for name in (one.first, one.second)))
    found = {(one.first, one.second): one for one in coverage.together}
    return page.render(
        "data.html.jinja",
        coverage.file,
        {},
        s=coverage,
        closed={"seen": sum(count > 0 for count in values), "possible": len(values)},
        pairs={
            "seen": sum(one.seen for one in coverage.together),
            "possible": sum(one.possible for one in coverage.together),
        },
        names=names,
        matrix=[(row, [found.get((row, column)) for column in names[1:]]) for row in names[:-1]],
    )
