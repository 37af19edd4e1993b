"""A studio in a process of its own, and a browser's page on it that notes what it complained of and asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]


class Studio:
    """`drivecoach studio FOLDER`, as a person starts it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "drivecoach", "studio", str(folder), "--no-open"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        assert self.process.stdout is not None
        self.address = next(line.strip() for line in self.process.stdout if "token=" in line)

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()


class Page:
    """A page in a new profile."""

    def __init__(self, browser: Any, address: str, width: int = 1280, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, locale="en-US", **settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(180_000)
        self.said: list[str] = []
        self.hosts: set[str | None] = set()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        self.page.goto(address)

    def press(self, selector: str, key: str = "Enter") -> None:
        """As one who has no mouse."""
        self.page.locator(selector).press(key)

    def close(self) -> None:
        """Nothing was complained of, and nothing was asked of another machine."""
        self.context.close()
        assert self.said == []
        assert self.hosts == {"127.0.0.1"}
