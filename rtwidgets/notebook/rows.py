"""What a user says of the rows of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rtwidgets.client import Intake, Records, Taking
from rtwidgets.client.kinds import Kinds
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame

__all__ = ["Rows"]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Arguments of `connect` about rows: what they are, and how many to keep.

    Raises
    ------
    SchemaError, UsageError
        For arguments that do not hold together.
    """

    key: str | None = None
    time: str | None = None
    schema: Mapping[str, Any] | None = None
    where: Mapping[str, Any] | None = None
    records: str | None = None
    columns: Sequence[str] | None = None
    beside: Mapping[str, str] | None = None
    by: str | None = None
    max_rows: int | None = 100_000
    max_age: float | None = None

    def __post_init__(self) -> None:
        if self.where is not None and not isinstance(self.where, Mapping):
            raise UsageError(
                f'where={self.where!r}: write fields and their values, as in {{"type": "match"}}'
            )
        if self.records is not None and not isinstance(self.records, str):
            raise UsageError(f"records={self.records!r}: give a path as text, such as 'data.items'")
        if isinstance(self.columns, str):
            raise UsageError(f"columns={self.columns!r}: give a list of names")
        self.intake()  # so that what does not hold together is an error here and not in the background

    def intake(self, key: str | None = None, time: str | None = None) -> Intake:
        """Return a new intake, with a new frame.

        Parameters
        ----------
        key, time
            Of the rows, where nothing was said of them.
        """
        records = Records(self.records, columns=self.columns, beside=self.beside, key=self.key)
        key = self.key or ("key" if records.entries else key)
        frame = LiveFrame(self.max_rows, self.max_age, key=key, time=self.time or time, schema=self.schema)
        return Intake(frame, where=self.where, records=records)

    def taking(self) -> Taking:
        """Return what takes the messages: an intake, or one for each kind where `by` tells them apart."""
        return self.intake() if self.by is None else Kinds(self.by, lambda kind: self.intake())

    def about(self) -> dict[str, Any]:
        """Return what was said of the rows, for a recording: what JSON knows, and nothing that is None."""
        said = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("max_rows", "max_age")
        }
        if self.schema is not None:
            said["schema"] = {
                name: dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
                for name, dtype in self.schema.items()
            }
        return {name: value for name, value in said.items() if value is not None}
