"""A domain of one's own from a file of rows: evidence, two proposed models as Python, and a folder to tune from."""

from drivecoach.propose.folder import Made, make_folder

__all__ = ["Made", "make_folder"]
