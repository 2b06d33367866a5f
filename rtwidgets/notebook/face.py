"""The functions of `import rtwidgets as rt`: what runs in this kernel, as verbs."""

from __future__ import annotations

from rtwidgets.notebook.plays import auction, game, match
from rtwidgets.notebook.running import running

__all__ = [
    "auction",
    "chat",
    "connect",
    "dashboard",
    "document",
    "feed",
    "feeds",
    "game",
    "health",
    "login",
    "match",
    "recorded",
    "replay",
    "serve",
    "service",
    "sleep",
    "status",
    "stop",
]

serve = running.servers.serve
service = running.servers.service
connect = running.streams.connect
chat = running.streams.chat
document = running.documents.open
status = running.status
dashboard = running.dashboard
login = running.streams.login
health = running.health
stop = running.stop
feeds = running.feeds
feed = running.feeds.define
recorded = running.recorded.open
replay = running.replays.replay
sleep = running.outside.sleep
