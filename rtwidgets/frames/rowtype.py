"""A schema compiled for msgspec, which decodes and checks rows in C; and a forgiving decoder for all else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from rtwidgets.frames.kinds import Kind
from rtwidgets.frames.values import Misfit

__all__ = ["RowType", "compile_row", "decode"]

_decode_any = msgspec.json.Decoder().decode


class RowType(NamedTuple):
    """Decoders to structs with one attribute for each column.

    Attributes
    ----------
    struct
        The type of a row.
    array, single
        Decoders of a JSON array of rows, and of one row.
    getters
        Take the columns of a struct, in order.
    """

    struct: type[msgspec.Struct]
    array: msgspec.json.Decoder[Any]
    single: msgspec.json.Decoder[Any]
    getters: list[Callable[[Any], Any]]

    def convert(self, rows: list[object]) -> list[msgspec.Struct]:
        """Turn mappings into structs."""
        structs = msgspec.convert(rows, list[self.struct])  # type: ignore[name-defined]
        msgspec.json.encode(
            structs
        )  # raises at half a surrogate pair, which JSON decoders do not let through
        return structs


def compile_row(kinds: Mapping[str, Kind], ignored: Iterable[str], *, closed: bool) -> RowType | None:
    """Compile a schema.

    Parameters
    ----------
    kinds
        By field name, in the order of the columns.
    ignored
        Fields that rows may have and no column takes.
    closed
        Whether a field in neither is an error.

    Returns
    -------
    RowType or None
        None if msgspec cannot express a field name: one with a quote, a backslash or a control character.
    """
    wires = [(kind.wire, kind.required) for kind in kinds.values()] + [(Any, False) for _ in ignored]
    attributes = [f"f{position}" for position in range(len(wires))]
    fields: list[Any] = [
        (attribute, wire) if required else (attribute, wire, None)
        for attribute, (wire, required) in zip(attributes, wires, strict=True)
    ]
    try:
        struct = msgspec.defstruct(
            "Row",
            fields,
            rename=dict(zip(attributes, [*kinds, *ignored], strict=True)),
            forbid_unknown_fields=closed,
            kw_only=True,
            gc=False,
        )
    except ValueError:
        return None
    array, single = msgspec.json.Decoder(list[struct]), msgspec.json.Decoder(struct)  # type: ignore[valid-type]
    return RowType(struct, array, single, [attrgetter(attribute) for attribute in attributes[: len(kinds)]])


def decode(raw: bytes | str) -> Any:
    """Decode JSON, and the NaN and Infinity that Python peers write.

    Raises
    ------
    Misfit
        If the text is not JSON.
    """
    try:
        return _decode_any(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as strict:
        try:
            return json.loads(raw if isinstance(raw, str) else str(raw, "utf-8"))
        except (ValueError, RecursionError):
            raise Misfit(f"not JSON: {strict}") from strict
