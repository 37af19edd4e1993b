"""Pairs in, checked and split pairs out."""

from drivecoach.data.check import Accepted, Pair, Refusal, Report, check, scan
from drivecoach.data.prepare import DataResult, extend, prepare, read_pairs
from drivecoach.data.read import read_rows
from drivecoach.data.record import Row
from drivecoach.data.sources import identity
from drivecoach.data.split import SPLITS, split_name

__all__ = [
    "SPLITS",
    "Accepted",
    "DataResult",
    "Pair",
    "Refusal",
    "Report",
    "Row",
    "check",
    "extend",
    "identity",
    "prepare",
    "read_pairs",
    "read_rows",
    "scan",
    "split_name",
]
