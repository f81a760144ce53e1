"""Where requests become answers: bodies are parsed and decoded in threads, then read in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import ImageError
from hanmo.image import describe, load
from hanmo.recognizer import Prediction, Recognizer
from hanmo.serve.batching import Batcher, Places
from hanmo.serve.config import ServeConfig
from hanmo.serve.metrics import Metrics
from hanmo.serve.problems import RefusedError, of_picture
from hanmo.serve.schemas import Failure, Reading
from hanmo.serve.uploads import Upload, parse
from hanmo.strokes import draw

T = TypeVar("T")


class Desk:
    """Reads the bodies of all clients with one recogniser. Open and close it in the event loop that uses it."""

    def __init__(self, reader: Recognizer, config: ServeConfig, metrics: Metrics) -> None:
        self.reader, self._config, self._metrics = reader, config, metrics
        self._decoders = ThreadPoolExecutor(config.threads, thread_name_prefix="hanmo-decode")
        self._places = Places(config.queue)
        self._batcher = Batcher(
            reader.predict,
            size=config.batch,
            window=config.window,
            threads=config.threads,
            observe=metrics.batch_size.observe,
        )
        metrics.waiting.set_function(lambda: self._places.taken)

    async def open(self) -> None:
        """Start, and run the net once: its first run takes several times as long as the others."""
        self._batcher.start()
        side = self.reader.bundle.normalization.side
        await self._batcher.submit(np.zeros((side, side), np.uint8), 1)

    async def close(self) -> None:
        await self._batcher.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)

    @property
    def ready(self) -> bool:
        """Whether a picture that came now would be read."""
        return self._batcher.running and not self._places.full

    async def read(self, content_type: str, body: bytes, top: int) -> list[Reading | Failure]:
        """Read every picture in a body; a picture that fails alone raises its :class:`RefusedError`."""
        with self._places.hold() as take:
            uploads = await self._in_thread(lambda: parse(content_type, body, self._config))
            take(len(uploads) - 1)
            outcomes = await self._outcomes(uploads, top)
        for outcome in outcomes:
            self._metrics.count_picture(outcome)
        if len(outcomes) == 1 and isinstance(outcomes[0], RefusedError):
            raise outcomes[0]
        return [
            Failure.of(outcome, upload.name) if isinstance(outcome, RefusedError) else Reading.of(outcome, upload.name)
            for upload, outcome in zip(uploads, outcomes, strict=True)
        ]

    async def _outcomes(self, uploads: list[Upload], top: int) -> list[Prediction | RefusedError]:
        coming: list[asyncio.Future[Prediction] | RefusedError] = []
        try:
            # One picture of a call after the other, so that a call of many does not make the others wait for all of it.
            for upload in uploads:
                try:
                    square = await self._in_thread(lambda upload=upload: self._square(upload))  # type: ignore[misc]
                except RefusedError as problem:
                    coming.append(problem)
                else:
                    coming.append(self._batcher.submit(square, top))
            return [outcome if isinstance(outcome, RefusedError) else await outcome for outcome in coming]
        finally:
            for outcome in coming:
                if isinstance(outcome, asyncio.Future):
                    outcome.cancel()  # does nothing to what is done, and spares the net what nobody waits for

    def _square(self, upload: Upload) -> NDArray[np.uint8]:
        source = upload.source
        try:
            # Never load() for what came as JSON: to it, a string is a path.
            grey = load(source) if isinstance(source, bytes) else draw(source.strokes)
            return self.reader.bundle.normalization(grey)
        except ImageError as error:
            raise of_picture(error, describe(source)) from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work)
