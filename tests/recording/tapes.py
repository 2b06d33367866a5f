"""What the tests of recordings share."""

from rtwidgets.recording import Batch, Kind, Writer

__all__ = ["BEGIN", "SECOND", "flat", "tape", "text"]

SECOND = 10**9
BEGIN = 1_700_000_000 * SECOND


def text(n, *messages):
    """A batch of text that came n seconds after the beginning."""
    return Batch(BEGIN + round(n * SECOND), Kind.TEXT, [str(each).encode() for each in messages or (n,)])


def tape(path, *blocks, about=None):
    """Write a recording of blocks, each of which is a list of batches."""
    with Writer(path, about) as writer:
        for block in blocks:
            for batch in block:
                writer.write(*batch)
            writer.flush()
    return path


def flat(recording, start=None):
    """Return the messages of a recording one by one, with their times and kinds."""
    return [(time, kind, each) for time, kind, messages in recording.batches(start) for each in messages]
