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
    "game",
    "health",
    "login",
    "match",
    "serve",
    "service",
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
