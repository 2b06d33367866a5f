"""What the tests of reconnecting share: bad luck, and a count of attempts by a clock of their own."""

import random

__all__ = ["Lowest", "attempts"]


class Lowest(random.Random):
    """The worst of luck: always the shortest wait."""

    def uniform(self, a, b):
        return a


def attempts(backoff, seconds, *, lasts=0.0):
    """Count the attempts in so many seconds when each connection lasts so long."""
    now, count = 0.0, 0
    while now <= seconds:
        count += 1
        backoff.opened(now)
        now += lasts
        now += backoff.lost(now)
    return count
