"""Pairs in, checked and split pairs out."""

from drivecoach.data.check import Pair, Report, check
from drivecoach.data.read import Row, read_rows
from drivecoach.data.split import SPLITS, split_name

__all__ = ["SPLITS", "Pair", "Report", "Row", "check", "read_rows", "split_name"]
