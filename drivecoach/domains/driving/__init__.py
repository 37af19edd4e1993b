"""All driving knowledge: features, instruction, coaching rules, and what no instruction may break."""

from drivecoach.domains.driving.answer import Answer
from drivecoach.domains.driving.domain import DrivingDomain
from drivecoach.domains.driving.instruction import Instruction, InstructionOf
from drivecoach.domains.driving.rules import RULES, Rule
from drivecoach.domains.driving.state import VehicleState
from drivecoach.domains.driving.teacher import Advice

DRIVING = DrivingDomain("driving", VehicleState, Instruction)
"""The driving domain as it is shipped."""

__all__ = [
    "DRIVING",
    "RULES",
    "Advice",
    "Answer",
    "DrivingDomain",
    "Instruction",
    "InstructionOf",
    "Rule",
    "VehicleState",
]
