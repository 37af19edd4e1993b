"""drivecoach: a small language model as a driving coach with structured output."""

__version__ = "0.1.0"
