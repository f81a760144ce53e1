"""How pages look: the share of pages that get each effect, and the greatest strength of each."""

from __future__ import annotations

from dataclasses import dataclass

from hanmo.config import check_ranges
from hanmo.errors import ConfigError

FREE = ("place", "cut", "turned", "pen", "uneven", "paper", "faint")
"""Effects that every real page has in some way; they do not count towards ``most``."""
COUNTED = (
    "gradient",
    "veil",
    "shadow",
    "rim",
    "grain",
    "fibre",
    "cell",
    "ruled",
    "mark",
    "through",
    "neighbours",
    "moire",
    "blur",
    "motion",
    "small",
    "noise",
    "salt",
    "sharpen",
    "jpeg",
    "levels",
    "copy",
    "stain",
    "gap",
)
"""Effects that degrade a page; a page gets at most ``most`` of them."""
_PARTS = ("clean", "frame", "cross", "diagonals", "ring")


@dataclass(frozen=True, kw_only=True)
class PageConfig:
    """Shares (probabilities, 0 to 1; 0 switches an effect off) and the greatest strengths, which vary below it.

    Lengths are parts of the page's side unless said otherwise. Raises :class:`ConfigError` for impossible values.
    """

    clean: float = 0.2
    """Pages that are nearly clean: for them most shares are a tenth of what they are."""
    most: int = 5
    """The most degrading effects of one page; where more are sampled, random ones of them stay."""

    place: float = 0.9
    """The character is not in the middle and not as large as the page."""
    smallest: float = 0.35
    """The side of the character's box, at least ..."""
    largest: float = 0.95
    """... and at most."""
    cut: float = 0.05
    """The character's box crosses the rim of the page."""
    cut_by: float = 0.1
    """Part of the box beyond the rim."""
    turned: float = 0.5
    """The page is rotated and seen from the side."""
    turned_by: float = 0.08
    """Rotation, in radians."""
    perspective: float = 0.08
    """How much larger one end of the character is than its middle."""
    pen: float = 0.6
    """The pen is wider or a little finer."""
    pen_by: float = 1.2
    """Pixels of the square on each side of a line, at most 2."""
    uneven: float = 0.25
    """Ink is lighter in places."""
    uneven_by: float = 0.5
    """Part of the ink missing there."""
    paper: float = 0.65
    """The paper is not white."""
    darkest: int = 120
    """Grey level of the darkest paper, 0 to 255."""
    faint: float = 0.4
    """The ink is not black."""
    faintest: float = 0.15
    """Contrast of the faintest ink: the part of the paper's light that it takes away."""

    gradient: float = 0.22
    """One side has less light."""
    gradient_by: float = 0.5
    """Part of the light missing there."""
    veil: float = 0.16
    """Large soft blotches."""
    veil_by: float = 0.35
    """Part of the light missing in them."""
    shadow: float = 0.14
    """A shadow with an edge, soft or hard."""
    shadow_by: float = 0.5
    """Part of the light missing in it."""
    rim: float = 0.05
    """A dark strip along a side, where the sheet ends."""
    rim_by: float = 0.08
    """Width of the strip."""
    grain: float = 0.2
    """Rough paper, fine and coarse."""
    grain_by: float = 0.14
    """Deviation of the paper's light."""
    fibre: float = 0.07
    """Fibres along or across."""
    fibre_by: float = 0.1
    """Deviation of the paper's light."""

    cell: float = 0.36
    """A printed cell; what is printed of it is drawn by the next four shares."""
    frame: float = 0.85
    """Of the cells: the outline, some sides of it or all."""
    cross: float = 0.55
    """Of the cells: lines through the middle, dashed or solid."""
    diagonals: float = 0.35
    """Of the cells: diagonals, dashed or solid."""
    ring: float = 0.2
    """Of the cells: a circle."""
    ruled: float = 0.1
    """Ruled lines through the whole page."""
    mark: float = 0.1
    """A teacher's mark: a ring around the character, or a small triangle below it."""
    print_by: float = 1.2
    """Darkness of printed lines, as a multiple of the ink's contrast."""
    through: float = 0.1
    """Writing on the back, mirrored; it is that of another sample of the batch."""
    through_by: float = 0.45
    """Its darkness, as a part of the ink's contrast."""
    neighbours: float = 0.28
    """Strokes of other samples of the batch reach in from the sides."""
    neighbours_by: float = 0.24
    """How far they reach in."""

    stain: float = 0.08
    """A spot that a drop left, on the character or beside it; ink still shows through."""
    stain_by: float = 0.65
    """Part of the light that it takes away."""
    gap: float = 0.06
    """A spot of the character without ink: correction fluid, glare, or a pen that did not write."""
    gap_by: float = 0.35
    """Its radius, as a part of half the character's box."""

    moire: float = 0.05
    """Waves, as when a screen is photographed."""
    moire_by: float = 0.15
    """Part of the contrast that they take."""
    blur: float = 0.2
    """Out of focus."""
    blur_by: float = 0.027
    """Deviation of the blur, as a part of the character's box."""
    motion: float = 0.1
    """Blurred along one direction."""
    motion_by: float = 0.16
    """Length of the movement, as a part of the character's box."""
    small: float = 0.14
    """A picture of few pixels that was enlarged."""
    small_to: int = 12
    """Its fewest pixels across the character's box."""
    noise: float = 0.22
    """Sensor noise."""
    noise_by: float = 0.28
    """Its deviation, as a part of the ink's contrast."""
    salt: float = 0.08
    """Black and white specks."""
    salt_by: float = 0.1
    """Part of the pixels that are specks."""
    sharpen: float = 0.14
    """Sharpened by a phone, with halos."""
    sharpen_by: float = 2.5
    """Weight of the detail added."""
    jpeg: float = 0.18
    """Blocks of strong compression."""
    jpeg_by: float = 4.0
    """Multiple of the standard quantisation (of quality 50)."""
    levels: float = 0.05
    """Few grey levels."""
    fewest: int = 4
    """Their number, at least 2."""
    copy: float = 0.12
    """Nearly black and white, as photocopies and document scans are."""

    def __post_init__(self) -> None:
        whole = {"most": (0, len(COUNTED)), "darkest": (1, 255), "small_to": (6, 64), "fewest": (2, 256)}
        above = {"pen_by": (0, 2), "print_by": (0, 4), "sharpen_by": (0, 8), "jpeg_by": (0, 20)}
        check_ranges(self, "page", whole | above)
        if not 0.1 <= self.smallest <= self.largest:
            raise ConfigError(
                f"page smallest = {self.smallest} and largest = {self.largest} are impossible; "
                "0.1 to 1, the smallest not above the largest"
            )

    @classmethod
    def off(cls, **kept: float) -> PageConfig:
        """Every share 0 but those ``kept``: a white page with the character on the whole of it in black."""
        shares = dict.fromkeys((*FREE, *COUNTED, *_PARTS), 0.0)
        values: dict[str, float | int] = {**shares, **kept}
        return cls(**values)  # type: ignore[arg-type]
