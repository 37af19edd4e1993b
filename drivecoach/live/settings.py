"""The times and the voice of live coaching: every one a setting, with its starting value."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drivecoach.errors import Fault, RecipeError

Voice = Literal["essential", "normal", "chatty"]
Seconds = Annotated[float, Field(ge=0, le=600)]


class Settings(BaseModel):
    """When the coach speaks; all times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    voice: Voice = "normal"
    """``essential``: dangers only. ``normal``: of the mildest level each sentence once for a state, and not again for
    ``mild_rest``. ``chatty``: again after its rest."""
    stable: Seconds = 0.5
    """How long a state must have stood before anything but a danger is said about it."""
    rest: Seconds = 8.0
    """How long a sentence rests after it was said."""
    danger_rest: Seconds = 3.0
    """How long it rests while it warns of a danger: a danger that persists is repeated after this time."""
    mild_rest: Seconds = 30.0
    """How long a sentence of the mildest level rests in the voice ``normal``."""
    pause: Seconds = 2.0
    """Silence between two utterances; a danger does not wait for it."""
    expires: Seconds = 2.0
    """How long a state counts as true when none comes after it."""
    disorder: Seconds = 1.0
    """How far a state's time may lie before the last one's and count as late; further back, the clock was set back."""
    wide: Annotated[float, Field(gt=0, le=5)] = 0.2
    """How long a Chinese character takes to say."""
    narrow: Annotated[float, Field(gt=0, le=5)] = 0.07
    """How long a letter takes to say."""

    def speech_seconds(self, text: str) -> float:
        """About how long a voice takes to say ``text``."""
        wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
        return wide * self.wide + (len(text) - wide) * self.narrow


SETTINGS = Settings()
"""The starting values."""


def read_settings(values: dict[str, Any]) -> Settings:
    """Settings of these names and values, the others as they start. Raises RecipeError with every fault."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        faults = [
            Fault(".".join(map(str, one["loc"])) or "settings", str(one["input"])[:60], one["msg"])
            for one in error.errors(include_url=False)
        ]
        raise RecipeError(
            "no settings of live coaching", faults=faults, hint=f"they are: {', '.join(Settings.model_fields)}"
        ) from None
