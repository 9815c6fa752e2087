"""Counters and histograms for what happens at each statement: a list index, and nothing else.

The library's own take a lock and look labels up each time, which costs more than some of what they count.
These belong to one thread, the event loop's, and become the library's families when somebody scrapes.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class TallyCounter(Collector):
    """A counter by labels."""

    def __init__(self, name: str, help_: str, labels: Sequence[str]) -> None:
        self._name, self._help, self._labels = name, help_, tuple(labels)
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *labels: str, number: int = 1) -> None:
        """It happened *number* times."""
        self._counts[labels] = self._counts.get(labels, 0) + number

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What a scrape sees."""
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        if not self._labels and not self._counts:
            family.add_metric((), 0)
        yield family


class TallyHistogram(Collector):
    """A histogram with fixed upper bounds; a value on a bound belongs to it."""

    def __init__(self, name: str, help_: str, bounds: Sequence[float]) -> None:
        self._name, self._help, self._bounds = name, help_, tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """One value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What a scrape sees: each bucket holds all below it too."""
        buckets, total = [], 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        yield HistogramMetricFamily(self._name, self._help, buckets=buckets, sum_value=self._sum)
