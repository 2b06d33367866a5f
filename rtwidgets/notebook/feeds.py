"""`rt.feeds`: feeds that are known by name, those of installed packages and those of the user among them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from rtwidgets.client.feeds import BUILT_IN, MessageKind, Preset
from rtwidgets.errors import UsageError
from rtwidgets.kinds import Feed
from rtwidgets.stream import Stream

__all__ = ["GROUP", "Feeds", "KnownFeed", "Opener", "Options"]

GROUP = "rtwidgets.feeds"
"""The group of entry points at which a package offers a `Preset`."""

_RESERVED = ("docs", "messages", "open")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be said beside symbols and kinds.

    Attributes
    ----------
    max_rows, max_age, name, fallback
        As for `rtwidgets.connect`; the rows are those of each kind.
    url
        Another address of the same feed.
    """

    max_rows: int | None = 100_000
    max_age: float | None = None
    name: str | None = None
    fallback: str | Path | None = None
    url: str | None = None


class Opener(Protocol):
    """Opens connections to feeds; symbols and kinds are those of the preset."""

    def open_stream(self, preset: Preset, symbols: tuple[str, ...], kind: str, options: Options) -> Stream:
        """Return a stream of one kind, on a connection of its own."""

    def open_feed(
        self, preset: Preset, symbols: tuple[str, ...], kinds: tuple[str, ...], options: Options
    ) -> Feed:
        """Return several kinds on one connection."""


class KnownFeed:
    """A feed that is known by name, such as ``rt.feeds.coinbase``.

    ``rt.feeds.coinbase.trades("BTC-USD")`` is a stream of one of its kinds.

    Parameters
    ----------
    preset
        What is known of it.
    opener
        Opens connections.
    """

    def __init__(self, preset: Preset, opener: Opener) -> None:
        self._preset = preset
        self._opener = opener

    def __getattr__(self, kind: str) -> Callable[..., Stream]:
        if kind.startswith("_") or kind not in self._preset.kinds:
            raise AttributeError(
                f"{self._preset.name} has no kind of messages {kind!r}: choose from "
                f"{', '.join(self._preset.kinds)}, or open(…) several"
            )

        def stream(*symbols: str, **options: Any) -> Stream:
            chosen, given = self._preset.check_symbols(symbols), _options(options)
            return self._opener.open_stream(self._preset, chosen, kind, given)

        stream.__name__ = stream.__qualname__ = kind
        stream.__doc__ = (
            f"Open a stream: {self._preset.kinds[kind].about or kind}.\n\n"
            "Give symbols, and arguments of `rtwidgets.connect`: max_rows, max_age, name, fallback; url is "
            "another address of the same feed."
        )
        return stream

    def __dir__(self) -> list[str]:
        return [*_RESERVED, *self._preset.kinds]

    def __repr__(self) -> str:
        return "\n".join(
            [f"{self._preset.title or self._preset.name}: {self._preset.url}"]
            + [f"  {usage:<{self._width}}  {about}".rstrip() for usage, about in self._usages]
        )

    def _repr_html_(self) -> str:
        heading = f"<b>{escape(self._preset.title or self._preset.name)}</b>"
        if self.docs:
            heading += f' · <a href="{escape(self.docs)}" target="_blank" rel="noopener">documentation</a>'
        rows = ((f"<code>{escape(usage)}</code>", escape(about)) for usage, about in self._usages)
        return heading + _table(rows)

    @property
    def docs(self) -> str:
        """The URL of the feed's own documentation."""
        return self._preset.docs

    def open(self, *symbols: str, kinds: Sequence[str] | None = None, **options: Any) -> Feed:
        """Open one connection for several kinds of messages.

        Parameters
        ----------
        symbols
            Such as ``"BTC-USD"``, as the feed writes them.
        kinds
            Names of kinds; all of them when None.
        options
            Arguments of `rtwidgets.connect`: max_rows and max_age of each kind, name, fallback. And url,
            another address of the same feed.

        Returns
        -------
        Feed
            With a stream of each kind: ``feed["trades"]``.

        Raises
        ------
        ConnectError
            When the connection cannot be made.
        UsageError
            For symbols, kinds or options that the feed does not have.
        """
        chosen, wanted, given = (
            self._preset.check_symbols(symbols),
            self._preset.check_kinds(kinds),
            _options(options),
        )
        return self._opener.open_feed(self._preset, chosen, wanted, given)

    def messages(self, symbols: str | Sequence[str] = (), kinds: Sequence[str] | None = None) -> list[Any]:
        """Return what would be sent on connecting: of each message what is written as JSON.

        Parameters
        ----------
        symbols
            One, or several.
        kinds
            Names of kinds; all of them when None.

        Raises
        ------
        UsageError
            For symbols or kinds that the feed does not have.
        """
        several = [symbols] if isinstance(symbols, str) else list(symbols)
        return self._preset.messages(self._preset.check_symbols(several), self._preset.check_kinds(kinds))

    @property
    def _usages(self) -> list[tuple[str, str]]:
        symbol = f'"{self._preset.example}"' if self._preset.takes_symbols else ""
        return [
            *((f".{name}({symbol})", kind.about) for name, kind in self._preset.kinds.items()),
            (f".open({symbol})", "all of them, on one connection"),
        ]

    @property
    def _width(self) -> int:
        return max(len(usage) for usage, _ in self._usages)


class Feeds:
    """The feeds that are known by name: ``rt.feeds.coinbase`` or ``rt.feeds["coinbase"]``.

    Iterating yields their names. A package adds one with an entry point of the group ``rtwidgets.feeds`` that
    names a `rtwidgets.client.feeds.Preset`; `define` adds one in this kernel.

    Parameters
    ----------
    opener
        Opens connections.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._presets = ChainMap[str, Preset]({}, BUILT_IN)  # type: ignore[arg-type]  # only the first is written

    def __getitem__(self, name: str) -> KnownFeed:
        """Return a feed.

        Raises
        ------
        UsageError
            When there is none of that name, or the package that offers it does not work.
        """
        return KnownFeed(self.preset(name), self._opener)

    def __getattr__(self, name: str) -> KnownFeed:
        if name.startswith("_") or name not in self._names():
            raise AttributeError(self._unknown(name))
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __dir__(self) -> list[str]:
        return ["define", *self._names()]

    def _ipython_key_completions_(self) -> list[str]:
        return self._names()

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(len(row[n]) for row in rows) for n in range(2)]
        lines = [
            f"  {name:<{widths[0]}}  {kinds:<{widths[1]}}  {title}".rstrip() for name, kinds, title in rows
        ]
        return "\n".join(['rt.feeds, to be used as in rt.feeds.coinbase.trades("BTC-USD"):', *lines])

    def _repr_html_(self) -> str:
        rows = (
            (f"<code>{escape(name)}</code>", escape(kinds), escape(title))
            for name, kinds, title in self._rows()
        )
        return _table(rows, ("rt.feeds", "kinds", ""))

    def define(
        self,
        name: str,
        *,
        # Where
        url: str,
        subscribe: Any = None,
        keepalive: tuple[Any, float] | None = None,
        # What comes
        by: str,
        kinds: Mapping[str, MessageKind | Mapping[str, Any]],
        refusal: Sequence[str] = (),
        # What it is about
        symbol: str = ".+",
        example: str = "SYMBOL",
        title: str = "",
        docs: str = "",
    ) -> KnownFeed:
        """Define a feed; afterwards it is there as ``rt.feeds.NAME``. One of that name is replaced.

        Parameters
        ----------
        name
            A name as variables have it.
        url
            Its address. A parameter with ``{symbol}`` is repeated for each symbol.
        subscribe
            What to send on connecting. ``{symbol}`` inside a list repeats that element for each symbol,
            elsewhere it repeats the message. Or a function that is given the symbols and the names of the
            kinds, and returns a list of messages.
        keepalive
            A message to send again and again, and the seconds between two of them.
        by
            The path to what tells the kinds apart in a message: ``"type"``, ``"data.channel"``, ``"-2"``.
        kinds
            By name, what each of them is: ``values`` that it has at `by` (a list, with ``*`` for anything;
            its name when left out), ``subscribe`` of its own, ``records``, ``columns``, ``beside``, ``key``,
            ``time`` and ``schema`` as for `rtwidgets.connect`, ``sequence`` for a column in which messages
            are numbered, ``book`` for order books, ``about`` in a few words.
        refusal
            Paths to texts that only those messages have in which the feed refuses something.
        symbol, example
            A regular expression that symbols have to match, and one of them.
        title, docs
            Its name in the world, and the URL of its documentation.

        Raises
        ------
        UsageError, SchemaError
            For what does not hold together.
        """
        if not isinstance(kinds, Mapping):
            raise UsageError(f'kinds={kinds!r}: write names and what each is, as in {{"trades": {{…}}}}')
        if taken := [kind for kind in kinds if kind in _RESERVED]:
            raise UsageError(
                f"a kind cannot be called {taken[0]!r}: rt.feeds.{name}.{taken[0]} is something else"
            )
        if isinstance(refusal, str):
            raise UsageError(f"refusal={refusal!r}: give a list of paths")
        preset = Preset(
            name=name,
            title=title,
            url=url,
            kinds={kind: _message_kind(kind, said) for kind, said in kinds.items()},
            by=by,
            subscribe=subscribe,
            keepalive=keepalive,
            refusal=tuple(refusal),
            symbol=symbol,
            example=example,
            docs=docs,
        )
        if name in dir(type(self)):
            raise UsageError(f"a feed cannot be called {name!r}: rt.feeds.{name} is something else")
        self._presets[name] = preset
        return self[name]

    def preset(self, name: str) -> Preset:
        """Return what is known of a feed; raises as ``rt.feeds[name]``."""
        if name in self._presets:
            return self._presets[name]
        for entry in _entries():
            if entry.name == name:
                preset = self._presets[name] = _load(entry)
                return preset
        raise UsageError(self._unknown(name))

    def _names(self) -> list[str]:
        return sorted({*self._presets, *(entry.name for entry in _entries())})

    def _unknown(self, name: str) -> str:
        return (
            f"there is no feed {name!r}: choose from {', '.join(self._names())}, or define it with rt.feed(…)"
        )

    def _rows(self) -> list[tuple[str, str, str]]:
        """Return of each feed its name, its kinds and its title; of one that does not work, why."""
        rows = []
        for name in self._names():
            try:
                preset = self.preset(name)
                rows.append((name, ", ".join(preset.kinds), preset.title))
            except UsageError as error:
                rows.append((name, "", str(error)))
        return rows


def _options(given: Mapping[str, Any]) -> Options:
    known = [field.name for field in fields(Options)]
    if unknown := [name for name in given if name not in known]:
        raise UsageError(f"{unknown[0]}=: there is no such argument; choose from {', '.join(known)}")
    return Options(**given)


def _message_kind(name: str, said: object) -> MessageKind:
    if isinstance(said, MessageKind):
        return said
    known = [field.name for field in fields(MessageKind)]
    if not isinstance(said, Mapping) or (unknown := [each for each in said if each not in known]):
        wrong = said if not isinstance(said, Mapping) else unknown[0]
        raise UsageError(f"kinds[{name!r}]: {wrong!r} says nothing of a kind; choose from {', '.join(known)}")
    return MessageKind(**{"values": (name,), **said})


def _entries() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda entry: entry.name)


def _load(entry: EntryPoint) -> Preset:
    origin = f"the feed {entry.name!r}" + (f" of the package {entry.dist.name}" if entry.dist else "")
    try:
        preset: object = entry.load()
    except Exception as error:
        raise UsageError(f"{origin} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(preset, Preset):
        raise UsageError(f"{origin} is no rtwidgets.client.feeds.Preset: its package has to be mended")
    return preset


def _table(rows: Iterable[Sequence[str]], heading: Sequence[str] = ()) -> str:
    left = 'style="text-align: left"'  # JupyterLab has tables of numbers in mind
    head = "".join(f"<th {left}>{each}</th>" for each in heading)
    body = "".join("<tr>" + "".join(f"<td {left}>{each}</td>" for each in row) + "</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if heading else ''}<tbody>{body}</tbody></table>"
