"""The shapes of requests and answers; the OpenAPI description is made from them."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from hanmo.occlusion import Explanation
from hanmo.prediction import Prediction, Reason
from hanmo.serve.glyphs import Glyph
from hanmo.serve.problems import RefusedError

MAX_TOP = 50

# FailFast: of a list whose million entries are all wrong, the first error is enough; all of them would fill a gigabyte.
Point = Annotated[
    list[float], FailFast(), Field(min_length=2, max_length=3, description="x, y and, if known, pressure 0 to 1.")
]
StrokeList = Annotated[
    list[Annotated[list[Point], FailFast()]],
    FailFast(),
    Field(
        description="Strokes in writing order, each a list of points, y growing downwards.",
        examples=[[[[0, 50], [100, 50]], [[50, 0], [50, 100]]]],
    ),
]


class Written(BaseModel):
    """One character as it was written."""

    # Unknown fields are most likely typing errors; strict, as "1" in place of 1 would hide a bug of the client.
    model_config = ConfigDict(extra="forbid", strict=True)

    strokes: StrokeList


class WrittenOneOrMany(BaseModel):
    """A body of strokes: one character, or several under ``characters``."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"oneOf": [{"required": ["strokes"]}, {"required": ["characters"]}]},
    )

    strokes: StrokeList = []
    characters: Annotated[list[Written], FailFast(), Field(min_length=1)] = []

    @model_validator(mode="after")
    def _one_or_many(self) -> WrittenOneOrMany:
        # By what was sent, not by the values: an empty list that was sent counts, a default does not.
        if len(self.model_fields_set) != 1:
            raise ValueError("give either strokes or characters")
        return self

    def each(self) -> list[Written]:
        """The characters, one or many."""
        return self.characters or [Written.model_construct(strokes=self.strokes)]


class CandidateAnswer(BaseModel):
    """A character and the probability, 0 to 1, that it is the one, or one that looks the same."""

    character: str
    probability: float
    alike: str = Field(
        description="The other characters that look the same on a picture of one character, such as Oo for 0."
    )


class Reading(BaseModel):
    """The reading of one picture. ``character`` is null where it is refused; ``reason`` says why."""

    name: str | None = Field(None, description="The uploaded file's name, where it had one.")
    character: str | None
    probability: float
    refused: bool
    reason: Reason | None = Field(
        description="Why it is refused: blank, no clear ink, several characters, touching the edge (part of the "
        "character may be missing) or unknown character. Null where a character is named."
    )
    candidates: list[CandidateAnswer] = Field(
        description="The most probable first; none where the reason is blank or no clear ink."
    )


class ErrorBody(BaseModel):
    """``code`` is for programs, ``message`` for people."""

    code: str
    message: str


class Failure(BaseModel):
    """One picture among several that could not be read."""

    name: str | None = None
    error: ErrorBody


class Answer(BaseModel):
    """The pictures' readings in the order they were sent, and the name of the model that read them."""

    results: list[Reading | Failure]
    model: str


def result(outcome: Prediction | RefusedError, name: str | None) -> dict[str, Any]:
    """A :class:`Reading` or a :class:`Failure` as it goes out; building models would cost more than the JSON."""
    fields: dict[str, Any] = {} if name is None else {"name": name}
    if isinstance(outcome, RefusedError):
        fields["error"] = {"code": outcome.code, "message": outcome.message}
        return fields
    fields["character"], fields["probability"] = outcome.character, round(outcome.probability, 6)
    fields["refused"], fields["reason"], fields["candidates"] = outcome.refused, outcome.reason, candidates_of(outcome)
    return fields


def candidates_of(prediction: Prediction) -> list[dict[str, Any]]:
    """Each candidate as a :class:`CandidateAnswer` goes out."""
    # Six decimals tell 99.9999 % from certainty; more would only be noise of the net.
    return [
        {"character": c.character, "probability": round(c.probability, 6), "alike": c.alike}
        for c in prediction.candidates
    ]


class ExplanationAnswer(BaseModel):
    """Which ink of a picture speaks for a character."""

    character: str
    probability: float
    side: int = Field(description="Pixels a side of the square.")
    square: str = Field(
        description="The normalised picture as the net sees it: base64 of side x side bytes, 0 = paper, 255 = ink.",
        json_schema_extra={"contentEncoding": "base64"},
    )
    size: int = Field(description="Rows of the heat, and columns.")
    heat: list[list[float]] = Field(
        description="Row by row, by how much the natural logarithm of the probability falls when the ink there is "
        "taken away: above 0 it speaks for the character, below 0 against it."
    )

    @classmethod
    def of(cls, explanation: Explanation) -> ExplanationAnswer:
        return cls(
            character=explanation.character,
            probability=round(explanation.probability, 6),
            side=len(explanation.square),
            square=base64.b64encode(explanation.square.tobytes()).decode(),
            size=len(explanation.heat),
            heat=explanation.heat.round(6).tolist(),
        )


class LookAlike(BaseModel):
    """Another character that the model finds in the strokes of the one asked about, with its probability."""

    character: str
    probability: float
    strokes: Glyph


class CharacterAnswer(BaseModel):
    """How a character is written, and its look-alikes. Where no strokes are known, both lists are empty."""

    character: str
    strokes: Glyph = Field(description="Strokes in writing order: points [x, y] in the unit square, y downwards.")
    look_alikes: list[LookAlike] = Field(description="At most four, the most probable first.")


class CorrectionAnswer(BaseModel):
    """A picture was stored with its character."""

    character: str
    kept: int = Field(description="How many pictures the server's folder of corrections holds now.")


class ErrorAnswer(BaseModel):
    """Why a request was refused."""

    error: ErrorBody


class Source(BaseModel):
    """A data set the model was trained on."""

    name: str
    licence: str


class Limits(BaseModel):
    """What one call may hold."""

    body_bytes: int
    json_bytes: int
    pictures: int
    pixels: int
    strokes: int
    points: int
    timeout_seconds: float
    sheet_timeout_seconds: float = Field(description="The time for POST /v1/sheets.")


class ModelAnswer(BaseModel):
    """The model that reads, and the limits of a call."""

    name: str
    net: str
    precision: str
    parameters: int
    characters: int = Field(description="How many characters it can name.")
    sets: list[str] = Field(
        description="The named sets worth choosing with among: the model knows at least three quarters of such a set, "
        "and also other characters."
    )
    licence: str
    trained_on: list[Source]
    accuracy: dict[str, float]
    version: str = Field(description="Of hanmo.")
    keeps_corrections: bool = Field(description="Whether POST /v1/corrections is there: hanmo serve --keep.")
    limits: Limits


class Health(BaseModel):
    """``ok``, or why not."""

    status: str
