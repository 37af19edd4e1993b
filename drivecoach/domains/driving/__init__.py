"""All driving knowledge: features, instruction, coaching rules, and what no instruction may break."""

from drivecoach.domains.driving.draw import draw_pairs, uniform
from drivecoach.domains.driving.instruction import Instruction, parse_instruction
from drivecoach.domains.driving.invariants import Violation, violations
from drivecoach.domains.driving.judge import compare, describe
from drivecoach.domains.driving.line import parse_line, render_line
from drivecoach.domains.driving.rules import RULES, Rule
from drivecoach.domains.driving.seam import (
    NAME,
    SYSTEM,
    answer_schema,
    read_answer,
    read_input,
    record_keys,
    rule_answer,
    schemas,
    vocabulary,
    write_answer,
    write_input,
    write_record,
)
from drivecoach.domains.driving.state import VehicleState, legal_states
from drivecoach.domains.driving.teacher import Advice, explain, teach

__all__ = [
    "NAME",
    "RULES",
    "SYSTEM",
    "Advice",
    "Instruction",
    "Rule",
    "VehicleState",
    "Violation",
    "answer_schema",
    "compare",
    "describe",
    "draw_pairs",
    "explain",
    "legal_states",
    "parse_instruction",
    "parse_line",
    "read_answer",
    "read_input",
    "record_keys",
    "render_line",
    "rule_answer",
    "schemas",
    "teach",
    "uniform",
    "violations",
    "vocabulary",
    "write_answer",
    "write_input",
    "write_record",
]
