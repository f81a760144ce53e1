"""From request bodies to answers: bodies are parsed and pictures decoded in threads, then read in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import BlankImageError, ImageError, InputError
from hanmo.image import describe, load
from hanmo.ink import Remark
from hanmo.normalize import Inspected
from hanmo.occlusion import explain_square
from hanmo.prediction import Prediction
from hanmo.recognizer import Recognizer
from hanmo.serve.batching import Batcher, Places
from hanmo.serve.config import ServeConfig
from hanmo.serve.corrections import Corrections, check_character
from hanmo.serve.glyphs import model_glyph
from hanmo.serve.metrics import Metrics
from hanmo.serve.problems import RefusedError, of_picture, unknown_character, unusable_among
from hanmo.serve.schemas import CharacterAnswer, CorrectionAnswer, ExplanationAnswer, LookAlike, result
from hanmo.serve.sheets import Asked, SheetReader, only_picture
from hanmo.serve.uploads import AMONG, Upload, parse, refuse_simple
from hanmo.strokes import draw

T = TypeVar("T")
Unread = Prediction | RefusedError
"""The outcome of a picture that the net does not read, because it shows no ink or cannot be used."""

LOOK_ALIKES = 4
"""Look-alikes of a character at most."""


class Desk:
    """Reads the bodies of all clients with one recogniser. Open and close it in the event loop that uses it."""

    def __init__(self, reader: Recognizer, config: ServeConfig, metrics: Metrics) -> None:
        self.reader, self._config, self._metrics = reader, config, metrics
        self._decoders = ThreadPoolExecutor(config.threads, thread_name_prefix="hanmo-decode")
        # One thread of their own: readings keep the others, whatever is to be explained.
        self._explainer = ThreadPoolExecutor(1, thread_name_prefix="hanmo-explain")
        self._corrections = (
            None if config.keep is None else Corrections(config.keep, config.keep_pictures, config.keep_bytes)
        )
        # One thread, as only one picture may be stored at a time; and a slow disk holds up no reading.
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="hanmo-keep")
        self._sheets = SheetReader(reader, config.sheets)
        self._places, self._explanations = Places(config.queue), Places(config.explanations)
        self._batcher = Batcher(
            self._predict,
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
        for pool in (self._decoders, self._explainer, self._keeper):
            pool.shutdown(wait=False, cancel_futures=True)
        self._sheets.close()

    @property
    def ready(self) -> bool:
        """Whether the server would read a picture now."""
        return self._batcher.running and not self._places.full

    async def read(self, content_type: str, body: bytes, top: int, among: str | None = None) -> list[dict[str, Any]]:
        """The results of every picture in a body; one that fails alone raises its :class:`RefusedError`.

        ``among`` is as in :meth:`Recognizer.recognize`; a form may have it as a field instead.
        """
        with self._places.hold() as take:
            uploads, among, first = await self._in_thread(lambda: self._open_up(content_type, body, among))
            # One place was taken before the body was opened; its number of pictures is known only now.
            take(len(uploads) - 1)
            outcomes = await self._outcomes(uploads, first, top, among)
        for outcome in outcomes:
            self._metrics.count_picture(outcome)
        # A picture that came alone gives the whole call its status; one among many must not spoil the others.
        if len(outcomes) == 1 and isinstance(outcomes[0], RefusedError):
            raise outcomes[0]
        return [result(outcome, upload.name) for upload, outcome in zip(uploads, outcomes, strict=True)]

    async def explain(self, content_type: str, body: bytes, character: str | None) -> ExplanationAnswer:
        """Which ink of a picture speaks for a character (None: the best candidate); raises :class:`RefusedError`.

        A body of several pictures is refused.
        """
        if character is not None:
            self._check_known(character)
        with self._explanations.hold():
            uploads, among, seen = await self._in_thread(lambda: self._open_up(content_type, body))
            if among is not None:
                raise RefusedError(422, "malformed_form", f"an explanation names its character; leave {AMONG} out")
            if len(uploads) > 1:
                raise RefusedError(422, "too_many_pictures", "one picture is explained at a time; send each by itself")
            if isinstance(seen, RefusedError):
                raise seen
            # A prediction without a run of the net: the picture shows no ink.
            if isinstance(seen, Prediction):
                raise RefusedError(422, "blank_picture", f"the picture cannot be explained: {seen.reason}")
            explaining = partial(explain_square, self.reader, seen.square, character)
            explanation = await asyncio.get_running_loop().run_in_executor(self._explainer, explaining)
        self._metrics.explanations.inc()
        return ExplanationAnswer.of(explanation)

    async def read_sheet(self, content_type: str, body: bytes, asked: Asked) -> dict[str, Any]:
        """A :class:`hanmo.serve.sheets.SheetAnswer` as it goes out; raises :class:`RefusedError`.

        ``asked.among`` may be a field of the form instead, as in :meth:`read`.
        """
        uploads, among = await self._in_thread(lambda: self._checked(content_type, body, asked.among))
        answer = await self._sheets.read(only_picture(uploads), asked._replace(among=among))
        self._metrics.sheets.inc()
        return answer

    async def look_up(self, character: str) -> CharacterAnswer:
        """How a character is written, and which others the reader finds in that; raises :class:`RefusedError`."""
        self._check_known(character)
        with self._places.hold():
            strokes = await self._in_thread(lambda: model_glyph(character))
            look_alikes = []
            if strokes:
                square = await self._in_thread(lambda: self.reader.square(strokes))
                # One more than wanted, as the character itself is usually among them.
                seen = (await self._batcher.submit(square, LOOK_ALIKES + 1)).candidates
                others = [c for c in seen if character not in c.character + c.alike][:LOOK_ALIKES]
                look_alikes = [
                    LookAlike(
                        character=other.character,
                        probability=round(other.probability, 6),
                        strokes=model_glyph(other.character),
                    )
                    for other in others
                ]
        return CharacterAnswer(character=character, strokes=strokes, look_alikes=look_alikes)

    async def correct(self, content_type: str, body: bytes, character: str) -> CorrectionAnswer:
        """Store one picture, or strokes, as a picture of ``character``; raises :class:`RefusedError`."""
        if self._corrections is None:
            raise RefusedError(404, "not_found", "this server keeps no corrections")
        refuse_simple(content_type)
        check_character(character)
        with self._places.hold():
            grey = await self._in_thread(lambda: self._one_with_ink(content_type, body))
            storing = partial(self._corrections.keep, character, grey)
            kept = await asyncio.get_running_loop().run_in_executor(self._keeper, storing)
        return CorrectionAnswer(character=character, kept=kept)

    def _one_with_ink(self, content_type: str, body: bytes) -> NDArray[np.uint8]:
        """The only picture of a body as grey levels. One without ink would be refused by every use of the folder."""
        uploads, _ = parse(content_type, body, self._config)
        if len(uploads) > 1:
            raise RefusedError(422, "too_many_pictures", "a character belongs to one picture; send each by itself")
        try:
            grey = _grey(uploads[0])
            self.reader.bundle.normalization.inspect(grey)
        except BlankImageError as error:
            raise RefusedError(422, "blank_picture", "the picture shows no clear ink; nothing is stored") from error
        except ImageError as error:
            raise of_picture(error, describe(uploads[0].source)) from error
        return grey

    def _check_known(self, character: str) -> None:
        if character not in self.reader.characters:
            raise unknown_character(character, self.reader.bundle.name)

    async def _outcomes(
        self, uploads: list[Upload], first: Inspected | Unread, top: int, among: str | None
    ) -> list[Prediction | RefusedError]:
        coming: list[asyncio.Future[Prediction] | Unread] = []
        remarks: list[Remark | None] = []
        try:
            # One picture of a call after the other, so that a call of many does not make the others wait for all of it.
            for number, upload in enumerate(uploads):
                seen = await self._in_thread(partial(self._inspect, upload)) if number else first
                remarks.append(seen.remark if isinstance(seen, Inspected) else None)
                coming.append(self._batcher.submit(seen.square, top, among) if isinstance(seen, Inspected) else seen)
            return [
                (await outcome).remarked(remark) if isinstance(outcome, asyncio.Future) else outcome
                for outcome, remark in zip(coming, remarks, strict=True)
            ]
        finally:
            for outcome in coming:
                if isinstance(outcome, asyncio.Future):
                    outcome.cancel()  # does nothing to what is done, and spares the net what nobody waits for

    def _open_up(
        self, content_type: str, body: bytes, among: str | None = None
    ) -> tuple[list[Upload], str | None, Inspected | Unread]:
        """A body's uploads, what they are to be chosen among, and the first one's square.

        Most bodies hold one picture and so need a thread only once.
        """
        uploads, among = self._checked(content_type, body, among)
        return uploads, among, self._inspect(uploads[0])

    def _checked(self, content_type: str, body: bytes, among: str | None) -> tuple[list[Upload], str | None]:
        """A body's uploads, and the characters that they are to be chosen among. Raises :class:`RefusedError`."""
        uploads, field = parse(content_type, body, self._config)
        if field is not None and among is not None:
            raise RefusedError(422, "unusable_among", "among is in the address and in the form; leave one of them out")
        among = field if among is None else among
        if among is not None:
            # Checked before the picture waits for its batch: there, an error would concern the pictures of others.
            try:
                self.reader.check_among(among)
            except InputError as error:
                raise unusable_among(error) from error
        return uploads, among

    def _predict(self, squares: NDArray[np.uint8], top: int, among: list[str | None]) -> list[Prediction]:
        """The predictions of one batch. Its pictures share the run of the net, also where they differ in ``among``."""
        if len(set(among)) == 1:
            # Without the argument where nothing is asked for: readers that a caller derives need not know it.
            return (
                self.reader.predict(squares, top)
                if among[0] is None
                else self.reader.predict(squares, top, among=among[0])
            )
        logits = self.reader.logits(squares)
        rows = zip(logits[:, None], among, strict=True)
        return [prediction for row, wanted in rows for prediction in self.reader.decide(row, top, among=wanted)]

    def _inspect(self, upload: Upload) -> Inspected | Unread:
        try:
            return self.reader.bundle.normalization.inspect(_grey(upload))
        except BlankImageError as error:
            return Prediction.without_ink(error)
        except ImageError as error:
            return of_picture(error, describe(upload.source))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work)


def _grey(upload: Upload) -> NDArray[np.uint8]:
    """Grey levels, uint8 (H, W). Raises :class:`ImageError`."""
    source = upload.source
    # Never load() for what came as JSON: to it, a string is a path.
    return load(source) if isinstance(source, bytes) else draw(source.strokes)
