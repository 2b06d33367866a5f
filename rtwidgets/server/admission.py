"""The handshake: who may come in, and what a request that is for no WebSocket is answered."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from rtwidgets.errors import ChannelNameError, Refused
from rtwidgets.messages import SUBPROTOCOL, check_channel
from rtwidgets.server import health, limits
from rtwidgets.server.outbox import Connection
from rtwidgets.server.rights import Rights
from rtwidgets.server.tokens import FULL, NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.asyncio.server import ServerConnection

    from rtwidgets.server.listener import Server

__all__ = ["admit", "select_subprotocol"]

_STATUS = {
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "token_expired": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}


async def admit(server: Server, connection: Connection, request: Request) -> Response | None:
    """Answer a request that may not become a WebSocket; None lets it.

    What its token allows is noted as the connection's `rights`. They are None where the token is still to
    come, as the first message.
    """
    path = request.path.partition("?")[0]
    if not server.access.origin_allowed(request.headers):
        return connection.respond(
            HTTPStatus.FORBIDDEN,
            "Pages from this Origin may not connect: start the server with origins=[…]\n",
        )
    given = server.access.token_in(request.path, request.headers)
    try:
        if server.access.token is None:
            connection.rights = Rights(server.access, FULL)
        elif given is not None:
            connection.rights = Rights(server.access, await server.access.grant(given))
        if "websocket" not in ",".join(request.headers.get_all("Upgrade")).lower():
            return await _plain_request(server, connection, path)
        return _upgrade(server, connection, request, path)
    except Refused as refusal:
        return _refuse(connection, refusal)


def _upgrade(server: Server, connection: Connection, request: Request, path: str) -> Response | None:
    if server.full:
        return connection.respond(
            HTTPStatus.SERVICE_UNAVAILABLE, f"There are {limits.MAX_CONNECTIONS} connections: try later\n"
        )
    multiplexed = SUBPROTOCOL in _offered(request)
    found = server.find(path)
    if found is None:
        if path == "/" and multiplexed:
            return None
        shown = path.encode("ascii", "backslashreplace").decode()
        return connection.respond(
            HTTPStatus.NOT_FOUND, f"Nothing is served at {shown}; there is: {', '.join(server.paths)}\n"
        )
    service, params = found
    if service.has_channels:
        channel = service.route.channel(params)
        try:
            check_channel(channel)
        except ChannelNameError as error:
            return connection.respond(HTTPStatus.BAD_REQUEST, f"{error}\n")
        if connection.rights is not None and not multiplexed and not service.public:
            connection.rights.require("subscribe", channel)
    if service.public and not multiplexed and connection.rights is None:
        connection.rights = Rights(server.access, NOTHING)
    return None


async def _plain_request(server: Server, connection: Connection, path: str) -> Response:
    if path == health.LIVE:
        return connection.respond(HTTPStatus.OK, "alive\n")
    if path == health.READY:
        ping = server.hub.engine.ping
        return connection.respond(*await health.readiness(draining=server.draining, ping=ping))
    if path != health.METRICS:
        return connection.respond(
            HTTPStatus.UPGRADE_REQUIRED, f"WebSockets only, at: {', '.join(server.paths)}\n"
        )
    if connection.rights is None:
        raise Refused("unauthorized", "metrics want the token: as ?token= or as Authorization: Bearer")
    if connection.rights.grant is not FULL:
        raise Refused("forbidden", "metrics want the server's own token, not a user's")
    response = connection.respond(HTTPStatus.OK, health.prometheus(server.statistics()))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = health.METRICS_TYPE
    return response


def _refuse(connection: Connection, refusal: Refused) -> Response:
    sentence = refusal.message[0].upper() + refusal.message[1:]
    response = connection.respond(_STATUS[refusal.code], f"{sentence}\n")
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'  # RFC 6750, section 3
    return response


def _offered(request: Request) -> list[str]:
    values = request.headers.get_all("Sec-WebSocket-Protocol")
    return [offer.strip() for value in values for offer in value.split(",")]


def select_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose the dialect of a connection: ours if it was asked for."""
    return next((offer for offer in offered if offer == SUBPROTOCOL), None)
