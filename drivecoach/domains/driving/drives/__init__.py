"""A learner's car as a small simulator, the courses of the exam, and drives with the mistakes that learners make."""

from drivecoach.domains.driving.drives.car import Car, Controls, step
from drivecoach.domains.driving.drives.course import COURSES, Course, Leg, features
from drivecoach.domains.driving.drives.recorded import DRIVES, drive_files, drives_page

__all__ = ["COURSES", "DRIVES", "Car", "Controls", "Course", "Leg", "drive_files", "drives_page", "features", "step"]
