"""Validated answers for files of any length: no row lost, none doubled, through faults and restarts."""

from drivecoach.batch.answerer import Answerer

__all__ = ["Answerer"]
