"""The build, beyond pyproject.toml: recipes and pairs go into the package, so that an installed one has them."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("recipes", "datasets")


class WithRecipes(build_py):
    """Copies what recipes name by ``../datasets`` in the same arrangement into ``drivecoach/shipped``."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in SHIPPED:
                shutil.copytree(name, Path(self.build_lib, "drivecoach/shipped", name), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithRecipes})
