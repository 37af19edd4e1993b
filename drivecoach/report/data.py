"""`drivecoach data report`: a file of pairs as a page, in the look of the report of a run."""

from __future__ import annotations

from drivecoach.data.survey import Survey
from drivecoach.report import page


def render(survey: Survey) -> str:
    """The page of what a file of pairs covers."""
    closed = [field for field in survey.fields if field.closed]
    values = [count for field in closed for count in field.counts.values()]
    names = list(dict.fromkeys(name for one in survey.together for name in (one.first, one.second)))
    found = {(one.first, one.second): one for one in survey.together}
    return page.render(
        "data.html.jinja",
        survey.file,
        {},
        s=survey,
        closed={"seen": sum(count > 0 for count in values), "possible": len(values)},
        pairs={
            "seen": sum(one.seen for one in survey.together),
            "possible": sum(one.possible for one in survey.together),
        },
        names=names,
        matrix=[(row, [found.get((row, column)) for column in names[1:]]) for row in names[:-1]],
    )
