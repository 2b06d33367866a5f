"""The blocks of the recording format: bytes in, batches out. ``docs/recording-format.md`` describes them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import zstandard

from rtwidgets.errors import UsageError
from rtwidgets.recording.batch import Batch, Kind

__all__ = [
    "END",
    "HEADER",
    "MAGIC",
    "META",
    "RECORD",
    "SIZE",
    "VERSION",
    "Damaged",
    "Packer",
    "block_size",
    "is_header",
    "unpack",
    "unzip",
]

MAGIC = b"\x89rtlog"
VERSION = 1
META = 1
"""Flag of a block that holds no records but what the recording says of itself."""
END = 2
"""Flag of the block where the recording was closed: it holds the headers of all blocks before it."""

HEADER = np.dtype(
    [
        ("magic", "S6"),
        ("version", "u1"),
        ("flags", "u1"),
        ("stored", "<u4"),  # bytes of the payload that follows,
        ("raw", "<u4"),  # and of what it is when decompressed
        ("crc", "<u4"),  # CRC-32 of the payload
        ("records", "<u4"),
        ("counts", "<u4", len(Kind)),  # messages of each kind
        ("first", "<i8"),  # time of the first record,
        ("last", "<i8"),  # of the last one,
        ("latest", "<i8"),  # and the greatest of all
        ("check", "<u4"),  # CRC-32 of the header so far
    ]
)
SIZE = HEADER.itemsize

RECORD = struct.Struct("<qBI")
"""Time, kind and count of messages, which the length of each follows as a uint32, and then all of them."""
_SINGLE = struct.Struct("<qBII")  # the same, with the length of the first one
_KINDS = list(Kind)

LEVEL = 1
"""Of zstd: on market data of three exchanges as small as level 3, or smaller, and faster."""

_NEVER = -(2**63)
_RESIDUE = 0x2144DF1C  # of CRC-32, over anything with its own CRC-32 behind


class Damaged(Exception):
    """A block is not what its header says."""


class Packer:
    """Makes blocks. For one thread."""

    def __init__(self) -> None:
        self._compress = zstandard.ZstdCompressor(level=LEVEL).compress

    def about(self, about: Mapping[str, Any]) -> bytes:
        """Return the block that a recording begins with.

        Raises
        ------
        UsageError
            When `about` has something in it that JSON does not know.
        """
        try:
            raw = json.dumps(dict(about), ensure_ascii=False).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"about={about!r} is not what JSON can hold: {error}") from None
        return self._without_records(raw, META)

    def end(self, headers: bytes) -> bytes:
        """Return the block that a recording ends with, behind blocks with these headers."""
        return self._without_records(headers, END)

    def block(self, records: Sequence[tuple[int, Kind, Sequence[bytes]]]) -> bytes:
        """Return a block of records: time, kind and messages of each, at least one."""
        parts: list[bytes] = []
        counts = [0] * len(Kind)
        for time, kind, messages in records:
            count = len(messages)
            counts[kind] += count
            parts.append(struct.pack(f"<qBI{count}I", time, kind, count, *map(len, messages)))
            parts += messages
        times = [time for time, _, _ in records]
        return self._block(b"".join(parts), 0, len(records), counts, (times[0], times[-1], max(times)))

    def _without_records(self, raw: bytes, flags: int) -> bytes:
        return self._block(raw, flags, 0, [0] * len(Kind), (_NEVER, _NEVER, _NEVER))

    def _block(
        self, raw: bytes, flags: int, records: int, counts: list[int], times: tuple[int, int, int]
    ) -> bytes:
        payload = self._compress(raw)
        fields = (MAGIC, VERSION, flags, len(payload), len(raw), zlib.crc32(payload), records, counts, *times)
        header = np.array((*fields, 0), HEADER).tobytes()[:-4]
        return header + struct.pack("<I", zlib.crc32(header)) + payload


def is_header(data: bytes) -> bool:
    """Whether bytes are a whole header, of whatever version."""
    return zlib.crc32(data) == _RESIDUE and data.startswith(MAGIC) and len(data) == SIZE


def block_size(header: bytes) -> int:
    """Return the bytes of a block, its header among them."""
    return SIZE + int.from_bytes(header[8:12], "little")


def unzip(header: Any, payload: bytes) -> bytes:
    """Return what is in a block.

    Raises
    ------
    Damaged
        When that cannot be read.
    """
    if len(payload) < header["stored"]:
        raise Damaged("its end is missing")
    if zlib.crc32(payload) != header["crc"]:
        raise Damaged("its checksum is not that of what it holds")
    try:
        if zstandard.frame_content_size(payload) != header["raw"]:
            raise Damaged("it is not as long as its header says")
        return zstandard.ZstdDecompressor().decompress(payload)
    except zstandard.ZstdError as error:
        raise Damaged(f"it cannot be decompressed: {error}") from None


def unpack(raw: bytes) -> Iterator[Batch]:
    """Yield the records of a block.

    Raises
    ------
    Damaged
        When they are not records.
    """
    at = 0
    while at < len(raw):
        try:
            time, kind, count, length = _SINGLE.unpack_from(raw, at)
            known = _KINDS[kind]
            if count == 1:  # as most are
                start = at + _SINGLE.size
                at = start + length
                yield Batch(time, known, [raw[start:at]])
                continue
            lengths = struct.unpack_from(f"<{count}I", raw, at + RECORD.size)
        except (struct.error, IndexError) as error:
            raise Damaged(f"what it holds are no records: {error}") from None
        places = accumulate(lengths, initial=at + RECORD.size + 4 * count)
        yield Batch(time, known, [raw[start:end] for start, end in pairwise(places)])
        at += RECORD.size + 4 * count + sum(lengths)
    if at > len(raw):
        raise Damaged("its last message is cut")
