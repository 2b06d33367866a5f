"""Recordings: what went over a connection, in a file. Floor 2: knows no socket and no frame."""

from __future__ import annotations

from rtwidgets.recording.batch import Batch, Info, Kind
from rtwidgets.recording.captures import write_capture
from rtwidgets.recording.jsonlines import write_jsonl
from rtwidgets.recording.recording import Recording
from rtwidgets.recording.secrets import hidden, hidden_message
from rtwidgets.recording.writer import Writer, write_rtlog

__all__ = [
    "Batch",
    "Info",
    "Kind",
    "Recording",
    "Writer",
    "hidden",
    "hidden_message",
    "write_capture",
    "write_jsonl",
    "write_rtlog",
]
