"""What a server counts, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

disable_created_metrics()  # a time beside each figure, which nobody asks for


class Metrics:
    """The figures of one server.

    Args:
        waiting: tells how many texts wait.
        ready: tells whether the model answers.
    """

    def __init__(self, waiting: Callable[[], int], ready: Callable[[], bool]):
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "zoo_requests", "Answers by what was asked and HTTP status.", ("verb", "code"), registry=registry
        )
        self.seconds = Histogram(
            "zoo_request_seconds",
            "From a predict request's first line to its answer.",
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_texts = Histogram(
            "zoo_batch_texts", "Texts that the model was given at once.", buckets=SIZES, registry=registry
        )
        self.batch_requests = Histogram(
            "zoo_batch_requests", "Requests of which a batch was made.", buckets=SIZES, registry=registry
        )
        self.model_seconds = Histogram(
            "zoo_model_seconds", "What the model takes for a batch.", buckets=SECONDS, registry=registry
        )
        Gauge("zoo_queue_texts", "Texts that wait for the model.", registry=registry).set_function(waiting)
        Gauge("zoo_ready", "1 where the model answers.", registry=registry).set_function(ready)
        ProcessCollector(registry=registry)

    def page(self) -> bytes:
        return generate_latest(self._registry)
