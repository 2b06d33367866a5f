"""The server wing: listener, sessions, hub, outboxes, access. Floor 4: knows engines and messages."""

from rtwidgets.server.health import Statistics
from rtwidgets.server.hub import Channel, Fields, Hub
from rtwidgets.server.listener import Server
from rtwidgets.server.service import Peer, Service

__all__ = ["Channel", "Fields", "Hub", "Peer", "Server", "Service", "Statistics"]
