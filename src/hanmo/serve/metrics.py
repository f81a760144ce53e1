"""Figures for Prometheus. Every label comes from a short fixed list: no client can make new series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

from hanmo.prediction import Prediction
from hanmo.serve.problems import RefusedError

__all__ = ["CONTENT_TYPE", "Metrics"]

# Upper edges of the histograms: seconds of a request, finer where most of them lie, and pictures in a batch.
_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
_METHODS = ("GET", "POST", "HEAD")


class Metrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self._requests = Counter("hanmo_requests", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "hanmo_request_seconds",
            "From a request's head to its answer's end.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._pictures = Counter("hanmo_pictures", "Pictures, by what became of them.", ("outcome",), registry=registry)
        self.batch_size = Histogram(
            "hanmo_batch_size", "Pictures in one run of the net.", buckets=_SIZES, registry=registry
        )
        self.waiting = Gauge("hanmo_pictures_in_progress", "Pictures taken in and not yet answered.", registry=registry)
        self.explanations = Counter("hanmo_explanations", "Explanations made.", registry=registry)
        self.sheets = Counter("hanmo_sheets", "Sheets read.", registry=registry)
        ProcessCollector(registry=registry)
        # Series that exist from the start at 0: Prometheus cannot see a rise from nothing to the first value.
        for outcome in ("read", "refused", "failed"):
            self._pictures.labels(outcome)

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """``route`` is the pattern in the routing table, not what the client asked for."""
        # A client can send any word as method; each would make a series of its own.
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_picture(self, outcome: Prediction | RefusedError) -> None:
        refused = "refused" if isinstance(outcome, Prediction) and outcome.refused else "read"
        self._pictures.labels("failed" if isinstance(outcome, RefusedError) else refused).inc()

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self._registry)
