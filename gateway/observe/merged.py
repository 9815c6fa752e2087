"""One page of metrics from several processes: each family once, a worker's samples under its number. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        yield from self._families


def merged(own: str, others: Mapping[str, str]) -> bytes:
    """*own* page and those of the *others* by name, as the one page that a scrape gets."""
    families: dict[str, Metric] = {family.name: family for family in text_string_to_metric_families(own)}
    for worker, page in others.items():
        for found in text_string_to_metric_families(page):
            family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
            family.samples += [
                sample._replace(labels={**sample.labels, "worker": worker}) for sample in found.samples
            ]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families.values()))
    return generate_latest(registry)
