"""All driving knowledge: features, instruction, coaching rules, and what no instruction may break."""

from drivecoach.domain.instruction import Instruction, parse_instruction
from drivecoach.domain.line import parse_line, render_line
from drivecoach.domain.state import VehicleState, legal_states

__all__ = ["Instruction", "VehicleState", "legal_states", "parse_instruction", "parse_line", "render_line"]
