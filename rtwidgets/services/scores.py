"""Live scores: what happens in a match, told by one reporter."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Annotated, Literal

import msgspec

from rtwidgets.errors import Refused
from rtwidgets.services.decider import Decider, DeciderService, Name, Request, Row, Snapshot, Stamp

__all__ = ["Match", "Scores"]

SHOWN = 20
"""Events that are shown to who comes later, the newest ones."""
CORRECTABLE = 500
"""Scores that can be taken back, the newest ones."""

Side = Literal["home", "away"]
Points = Annotated[int, msgspec.Meta(ge=1, le=1_000)]


# What a reporter sends


class Begin(Request, tag="begin"):
    """Begin the match: the names of its teams."""

    home: Name
    away: Name


class Score(Request, tag="score"):
    """Points for a side."""

    side: Side
    points: Points = 1
    player: Name | None = None


class Note(Request, tag="note"):
    """Something else that happened."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]


class Correct(Request, tag="correct"):
    """Take back a score that was wrong: `event` is that of its row."""

    event: int


class End(Request, tag="end"):
    """End the match."""


# What is in the channel


class _Account(Stamp):
    """What every row says, as a dict: see `_Event`."""

    home_points: int
    away_points: int
    elapsed: float


class _Event(Row):
    """Something has happened: the standing after it, and the seconds since the match was begun."""

    home_points: int
    away_points: int
    elapsed: float


class Begun(_Event, tag="begun"):
    """The match was begun."""

    home: str
    away: str


class Scored(_Event, tag="scored"):
    """A side has scored."""

    side: Side
    points: int
    player: str | None = None


class Noted(_Event, tag="noted"):
    """Something else has happened."""

    text: str


class Corrected(_Event, tag="corrected"):
    """A score was taken back, the row whose `event` is `corrects`."""

    corrects: int
    side: Side
    points: int
    player: str | None = None


class Ended(_Event, tag="ended"):
    """The match has ended."""


Event = Begun | Scored | Noted | Corrected | Ended


class Standing(Snapshot):
    """The state of a match.

    `phase` is ``"scheduled"``, ``"live"`` or ``"ended"``. `began` is in Unix milliseconds. `scores` are the
    rows of the newest scores that count, `events` the newest rows, oldest first.
    """

    phase: str
    home: str | None
    away: str | None
    home_points: int
    away_points: int
    reporter: str | None
    began: float | None
    scores: list[Scored]
    events: list[Event]


class Match(Decider):
    """A match: its standing, and the scores that it consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.home: str | None = None
        self.away: str | None = None
        self.points: dict[Side, int] = {"home": 0, "away": 0}
        self.reporter: str | None = None
        self.began: float | None = None
        self.ended = False
        self.scores: OrderedDict[int, Scored] = OrderedDict()
        self.events: deque[Event] = deque(maxlen=SHOWN)

    @property
    def phase(self) -> str:
        """``"scheduled"``, ``"live"`` or ``"ended"``."""
        return "ended" if self.ended else "scheduled" if self.began is None else "live"

    def decide(self, request: Begin | Score | Note | Correct | End, stamp: Stamp) -> Event:
        """Return the row of what is reported; raises Refused when it may not be."""
        self._check(request, stamp["user"])
        match request:
            case Begin():
                return Begun(**self._account(stamp), home=request.home, away=request.away)
            case Score(side=side, points=points):
                account = self._account(stamp, side, points)
                return Scored(**account, side=side, points=points, player=request.player)
            case Note():
                return Noted(**self._account(stamp), text=request.text)
            case Correct():
                wrong = self._score(request.event)
                return Corrected(
                    **self._account(stamp, wrong.side, -wrong.points),
                    corrects=wrong.event,
                    side=wrong.side,
                    points=wrong.points,
                    player=wrong.player,
                )
            case End():
                return Ended(**self._account(stamp))

    def evolve(self, row: Event) -> None:
        """Take the next row."""
        self.points = {"home": row.home_points, "away": row.away_points}
        self.events.append(row)
        match row:
            case Begun():
                self.home, self.away, self.reporter, self.began = row.home, row.away, row.user, row.time
            case Scored():
                self.scores[row.event] = row
                if len(self.scores) > CORRECTABLE:
                    self.scores.popitem(last=False)
            case Corrected():
                self.scores.pop(row.corrects, None)
            case Ended():
                self.ended = True

    def picture(self) -> Standing:
        """Return the state."""
        return Standing(
            event=self.event,
            time=self.time,
            phase=self.phase,
            home=self.home,
            away=self.away,
            home_points=self.points["home"],
            away_points=self.points["away"],
            reporter=self.reporter,
            began=self.began,
            scores=list(self.scores.values()),
            events=list(self.events),
        )

    def restore(self, snapshot: Standing) -> None:
        """Become what `picture` returned."""
        self.home, self.away = snapshot.home, snapshot.away
        self.points = {"home": snapshot.home_points, "away": snapshot.away_points}
        self.reporter, self.began = snapshot.reporter, snapshot.began
        self.ended = snapshot.phase == "ended"
        self.scores = OrderedDict((score.event, score) for score in snapshot.scores)
        self.events = deque(snapshot.events, maxlen=SHOWN)

    def _check(self, request: Request, user: str) -> None:
        """Raise Refused when nothing of the kind may be reported now, or not by this user."""
        if self.ended:
            raise Refused("ended", "this match has ended: report the next one under another name")
        if isinstance(request, Begin):
            if self.began is not None:
                raise Refused("begun", f"this match was begun by {self.reporter!r}: report on it, or end it")
        elif self.began is None:
            raise Refused("not_begun", 'begin the match first: {"type": "begin", "home": …, "away": …}')
        elif user != self.reporter:
            raise Refused("not_reporter", f"{self.reporter!r} has begun this match, and alone reports on it")

    def _account(self, stamp: Stamp, side: Side = "home", points: int = 0) -> _Account:
        """Return what to say of the match when so many points are added."""
        standing = self.points | {side: self.points[side] + points}
        began = stamp["time"] if self.began is None else self.began
        return _Account(
            **stamp,
            home_points=standing["home"],
            away_points=standing["away"],
            elapsed=round((stamp["time"] - began) / 1000.0, 3),
        )

    def _score(self, event: int) -> Scored:
        """Return the row of a score that counts; raises Refused when there is none."""
        if event not in self.scores:
            raise Refused(
                "no_such_event",
                f"event {event} is no score of this match that counts: give the event of a scored row, "
                f"one of the newest {CORRECTABLE} that were not taken back",
            )
        return self.scores[event]


class Scores(DeciderService):
    """Matches at ``/scores/{match}``. Who begins one reports on it, and everybody watches.

    A reporter sends ``{"type": "begin", "home": …, "away": …}`` once, then
    ``{"type": "score", "side": "home"}`` (with `points` if more than one, and `player` if known),
    ``{"type": "note", "text": …}``, ``{"type": "correct", "event": …}`` to take back a score by the `event`
    of its row, and ``{"type": "end"}``. The rows are `begun`, `scored`, `noted`, `corrected` and `ended`,
    each with the standing after it.
    """

    name = "scores"
    path = "/scores/{match}"
    decider = Match
    requests = Begin | Score | Note | Correct | End
    rows = Event | Standing
