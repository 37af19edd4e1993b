"""The cockpit of the driving domain: a learner's car that a person drives, and the page to sit in."""

from drivecoach.domains.driving.cockpit.cockpit import DrivingCockpit

__all__ = ["DrivingCockpit"]
