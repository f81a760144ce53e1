"""The answer to a picture: candidates with probabilities, or the reason why no character is named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Literal

from hanmo.errors import BlankImageError, FaintInkError
from hanmo.ink import Remark

Reason = Literal["blank", "no clear ink", "several characters", "touching the edge", "unknown character"]
"""Why a picture is refused: it shows nothing; something, but no ink that stands out; more than one character; a
character that may be cut off; or one that looks like no character of the charset."""

SHOWN_FROM = 0.001
"""Probability from which a candidate after the first is shown to people. Below, the order says little: characters that
were rare in training, such as 硷, an old form of 碱, come up under many pictures with a few parts in 10,000."""


@dataclass(frozen=True)
class Candidate:
    """A character and the probability, 0 to 1, that the picture shows it or one that looks the same.

    ``alike`` are the other characters of its group, such as "Oo" for 0: no picture of one character tells them apart.
    """

    character: str
    probability: float
    alike: str = ""

    @property
    def named(self) -> str:
        """The character for people to read, with those that look the same: "0 (or O o)"."""
        return f"{self.character} (or {' '.join(self.alike)})" if self.alike else self.character


@dataclass(frozen=True)
class Prediction:
    """The answer to one picture.

    ``reason`` says why the picture is refused; it is None when a character is named. ``candidates``, the most probable
    first, are there even when the picture is refused, unless it shows no clear ink: then there are none.
    """

    candidates: tuple[Candidate, ...]
    reason: Reason | None = None

    @classmethod
    def without_ink(cls, error: BlankImageError) -> Prediction:
        """The refusal of a picture whose normalisation raised ``error``."""
        return cls((), "no clear ink" if isinstance(error, FaintInkError) else "blank")

    def remarked(self, remark: Remark | None) -> Prediction:
        """The same prediction; the remark of the normalisation replaces the reason "unknown character"."""
        return replace(self, reason=remark) if remark and self.reason == "unknown character" else self

    @property
    def refused(self) -> bool:
        """Whether no character is named."""
        return self.reason is not None

    @property
    def character(self) -> str | None:
        """The best candidate's character; None when the picture is refused."""
        return None if self.refused else self.candidates[0].character

    @property
    def probability(self) -> float:
        """The best candidate's probability; 0 when there is no candidate."""
        return self.candidates[0].probability if self.candidates else 0.0

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The candidates to show to people: the first, and the others from :data:`SHOWN_FROM` on."""
        return self.candidates[:1] + tuple(c for c in self.candidates[1:] if c.probability >= SHOWN_FROM)

    def __str__(self) -> str:
        listed = " ".join(f"{c.named} {c.probability:.1%}" for c in self.shown)
        if not self.refused:
            return listed
        return f"refused: {self.reason} (perhaps {listed})" if listed else f"refused: {self.reason}"

    def _repr_html_(self) -> str:
        """A small table for notebooks: the candidates with their probabilities as bars."""
        refusal = f"<div>refused: {escape(self.reason)}</div>" if self.reason else ""
        rows = "".join(_row(candidate) for candidate in self.shown)
        return f"<div>{refusal}<table>{rows}</table></div>" if rows else f"<div>{refusal}</div>"


def _row(candidate: Candidate) -> str:
    # Styles are written into the tags: notebooks remove style sheets from the output of cells.
    width = f"{100 * min(max(candidate.probability, 0.0), 1.0):.1f}%"
    bar = f'<div style="width:{width};height:0.6em;background:#3b7dd8"></div>'
    alike = f'<td style="opacity:0.6">or {escape(" ".join(candidate.alike))}</td>' if candidate.alike else ""
    return (
        f'<tr><td style="font-size:1.4em">{escape(candidate.character)}</td>'
        f'<td style="width:8em;text-align:left">{bar}</td><td>{candidate.probability:.1%}</td>{alike}</tr>'
    )
