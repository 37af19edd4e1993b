"""When to speak: states of one car in, what to say and what to keep silent out, on files and on live streams."""

from drivecoach.live.decide import Decision, History, Instruction, Reason, Say, Silent, State, Utterance, decide
from drivecoach.live.event import REFUSED, End, Event, Trouble
from drivecoach.live.replay import Record, read_record, replay
from drivecoach.live.session import LiveSession
from drivecoach.live.settings import SETTINGS, Settings, Voice, read_settings
from drivecoach.live.stream import Stream

__all__ = [
    "REFUSED",
    "SETTINGS",
    "Decision",
    "End",
    "Event",
    "History",
    "Instruction",
    "LiveSession",
    "Reason",
    "Record",
    "Say",
    "Settings",
    "Silent",
    "State",
    "Stream",
    "Trouble",
    "Utterance",
    "Voice",
    "decide",
    "read_record",
    "read_settings",
    "replay",
]
