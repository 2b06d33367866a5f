"""Bluesky Jetstream: what people post, like and follow, as it happens. Its symbols are collections.

https://github.com/bluesky-social/jetstream. Changes of accounts and names are sent whatever the collections.
"""

from __future__ import annotations

from rtwidgets.client.feeds.model import MessageKind, Preset

__all__ = ["PRESET"]

PRESET = Preset(
    name="bluesky",
    title="Bluesky Jetstream",
    url="wss://jetstream2.us-east.bsky.network/subscribe?wantedCollections={symbol}",
    by="kind",
    symbol=r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(\.\*)?",
    example="app.bsky.feed.post",
    docs="https://github.com/bluesky-social/jetstream",
    kinds={
        "commits": MessageKind(
            about="records that are created, updated and deleted; lang is the first language of a post",
            values=("commit",),
            beside={
                "operation": "commit.operation",
                "collection": "commit.collection",
                "rkey": "commit.rkey",
                "text": "commit.record.text",
                "lang": "commit.record.langs.0",
            },
            key="collection",
            time="time_us",
            schema={
                "time_us": "datetime64[us]",
                "did": "str",
                "operation": "category",
                "collection": "category",
                "rkey": "str",
                "text": "str",
                "lang": "category",
            },
        ),
        "identities": MessageKind(
            about="accounts that have a new name",
            values=("identity",),
            beside={"handle": "identity.handle"},
            time="time_us",
            schema={"time_us": "datetime64[us]", "did": "str", "handle": "str"},
        ),
        "accounts": MessageKind(
            about="accounts that become active, or no longer are",
            values=("account",),
            beside={"active": "account.active", "status": "account.status"},
            time="time_us",
            schema={"time_us": "datetime64[us]", "did": "str", "active": "boolean", "status": "category"},
        ),
    },
)
