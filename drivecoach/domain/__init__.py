"""What a domain is: the base class made of two Pydantic models, with the defaults that are derived from them."""

from drivecoach.domain.base import AnyDomain, Domain, Pair, Tolerance, Violation, place
from drivecoach.domain.cockpit import Cockpit, Driven
from drivecoach.domain.expectation import Expectation
from drivecoach.domain.explanation import Change, Explanation, RuleTable, changes
from drivecoach.domain.form import Form, SchemaForm
from drivecoach.domain.node import JsonObject

__all__ = [
    "AnyDomain",
    "Change",
    "Cockpit",
    "Domain",
    "Driven",
    "Expectation",
    "Explanation",
    "Form",
    "JsonObject",
    "Pair",
    "RuleTable",
    "SchemaForm",
    "Tolerance",
    "Violation",
    "changes",
    "place",
]
