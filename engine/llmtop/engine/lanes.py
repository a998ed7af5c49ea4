"""Which runs share limits: a lane for each provider, key and model."""

from __future__ import annotations

import hashlib

from llmtop.adapters.secrets import Secret
from llmtop.config.schema import RunConfig
from llmtop.submit.batch_work import KeyDesk
from llmtop.submit.gate import Lane


class Lanes:
    """The lanes of one process. The first run on a lane brings its limits; later ones join it."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str, str], Lane] = {}
        self._first: dict[Lane, RunConfig] = {}
        self._desks: dict[tuple[str, str], KeyDesk] = {}

    def lane(self, config: RunConfig, base_url: str, key: Secret | None) -> Lane:
        """Return the lane of a run, made where it is the first on it."""
        place = (base_url, _fingerprint(key), config.provider.model)
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = Lane(
                f"{config.provider.kind}/{config.provider.model}",
                config.limits,
                config.execution.concurrency,
                retry=config.retry,
                tuning=config.tuner,
                timeout_s=config.provider.timeout,
                packs=config.execution.items_per_request,
            )
            self._first[lane] = config
        return lane

    def desk(self, base_url: str, key: Secret | None) -> KeyDesk:
        """Return what all runs with one key at one address share that create batch jobs."""
        return self._desks.setdefault((base_url, _fingerprint(key)), KeyDesk())

    def notice(self, config: RunConfig, lane: Lane) -> str | None:
        """Return what to tell the user whose config says other things than the lane's first run did."""
        first = self._first[lane]
        parts = {
            "limits": (config.limits, first.limits),
            "concurrency": (config.execution.concurrency, first.execution.concurrency),
            "tuner": (config.tuner, first.tuner),
        }
        other = [name for name, (own, held) in parts.items() if own != held]
        if not other:
            return None
        return f"shares provider, key and model with {first.name}, and its settings hold: {', '.join(other)}"


def _fingerprint(key: Secret | None) -> str:
    return "" if key is None else hashlib.sha256(key.reveal().encode()).hexdigest()
