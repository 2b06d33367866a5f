"""Keys of rows as numbers that stay the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rtwidgets.errors import SchemaError
from rtwidgets.frames.columns import Categories
from rtwidgets.frames.frame import Rows

__all__ = ["Keys"]


class Keys:
    """Numbers the keys of rows in order of appearance: a frame may number its categories anew."""

    def __init__(self) -> None:
        self._numbers = Categories()
        self._categories: Sequence[str | int] = ()
        self._of_categories = np.array([-1])

    def __len__(self) -> int:
        return len(self._numbers.values)

    def of(self, rows: Rows, name: str) -> npt.NDArray[np.int64]:
        """Return the numbers of the keys of rows: int64 of shape (rows,), -1 where there is none.

        Parameters
        ----------
        rows
            With at least this column.
        name
            A column of text or whole numbers.

        Raises
        ------
        SchemaError
            When it is of another kind, or of another one than it was before.
        """
        values, categories = rows.columns[name], rows.categories.get(name)
        if categories is not None:
            if categories is not self._categories or len(categories) >= len(self._of_categories):
                # The last number is for code -1, no key.
                self._of_categories = np.array([*self._encoded(name, list(categories)), -1], np.int64)
                self._categories = categories
            return self._of_categories[values]
        if values.dtype == np.object_:
            return self._encoded(name, [each if isinstance(each, str) else None for each in values])
        if values.dtype == np.int64:
            return self._encoded(name, values.tolist())
        if values.dtype == np.float64 and np.isnan(values).all():  # nothing yet
            return np.full(len(values), -1, np.int64)
        raise SchemaError(
            f"{name!r} cannot be a key, for it is {values.dtype}: choose a column of text or of whole numbers"
        )

    def _encoded(self, name: str, values: Sequence[str | int | None]) -> npt.NDArray[np.int64]:
        numbers: npt.NDArray[np.int64] = self._numbers.encode(values)
        known = self._numbers.values
        if known and type(known[0]) is not type(known[-1]):
            raise SchemaError(
                f"the key {name!r} is text here and a number there: declare it as the same in both, "
                f'as in schema={{{name!r}: "str", …}}'
            )
        return numbers
