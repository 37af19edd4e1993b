"""What all pages of our servers have in common: their frame, their looks, their languages, what keeps them safe."""

from drivecoach.web.files import STATIC, Files
from drivecoach.web.page import Pages

__all__ = ["STATIC", "Files", "Pages"]
