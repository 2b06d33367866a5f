"""Messages and URLs in which symbols are to be filled in. Pure: templates in, messages out.

``"{symbol}"`` stands for a symbol. Inside a list, the element it is in is repeated for each symbol; elsewhere
the whole message is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rtwidgets.errors import UsageError

__all__ = ["asks", "filled", "filled_url"]

SYMBOL = "{symbol}"


def filled(template: Any, symbols: Sequence[str]) -> list[Any]:
    """Return the messages that a template stands for.

    Parameters
    ----------
    template
        Text, or what JSON can hold.
    symbols
        What to fill in.
    """
    groups = [[symbol] for symbol in symbols] if asks(template, lists=False) else [list(symbols)]
    return [_fill(template, group) for group in groups]


def filled_url(template: str, symbols: Sequence[str]) -> str:
    """Return the URL that a template stands for: a parameter with ``{symbol}`` is repeated for each symbol.

    Raises
    ------
    UsageError
        When ``{symbol}`` is in the path and there are several.
    """
    address, mark, query = template.partition("?")
    if SYMBOL in address and len(symbols) != 1:
        raise UsageError(
            f"{template} takes one symbol, not {len(symbols)}: open a stream for each of {', '.join(symbols)}"
        )
    quoted = [quote(symbol, safe="") for symbol in symbols]
    parameters = [
        each.replace(SYMBOL, symbol)
        for each in query.split("&")
        for symbol in (quoted if SYMBOL in each else [""])
    ]
    return (
        (address.replace(SYMBOL, quoted[0]) if SYMBOL in address else address) + mark + "&".join(parameters)
    )


def asks(template: Any, *, lists: bool = True) -> bool:
    """Whether there is a place for a symbol, in lists or only elsewhere."""
    if isinstance(template, str):
        return SYMBOL in template
    if isinstance(template, Mapping):
        return any(asks(value, lists=lists) for value in template.values())
    return lists and isinstance(template, list | tuple) and any(map(asks, template))


def _fill(template: Any, symbols: list[str]) -> Any:
    if isinstance(template, str):
        return template.replace(SYMBOL, symbols[0]) if symbols else template
    if isinstance(template, Mapping):
        return {name: _fill(value, symbols) for name, value in template.items()}
    if isinstance(template, list | tuple):
        return [
            _fill(each, group)
            for each in template
            for group in ([[symbol] for symbol in symbols] if asks(each) else [symbols])
        ]
    return template
