"""Which packs an export uses where none are named: those that the run was trained and tested on."""

from __future__ import annotations

from pathlib import Path

from hanmo.config import load_toml
from hanmo.errors import ArgumentError
from hanmo.train.config import SYNTH_PREFIX, DataConfig, Recipe
from hanmo.train.run import RECIPE


def packs_of_run(
    run: Path, weights: Path, calibration: Path | None, test: Path | None, *, int8: bool
) -> tuple[Path, Path]:
    """The packs ``(calibration, test)`` for an export of ``run``; those given are kept.

    ``weights`` is the run's weights file. Raises :class:`ArgumentError` where the run has no such pack.
    """
    if calibration is not None and test is not None:
        return calibration, test
    # A run folder has its recipe beside the weights; shards, and weights files copied elsewhere, have none.
    recipe = weights.parent / RECIPE
    if not recipe.exists():
        raise ArgumentError(f"{run}: weights alone know no packs; name --calibration and --test")
    data = load_toml(recipe, Recipe).data
    return calibration or _calibration_pack(run, data, int8=int8), test or _test_pack(run, data)


def _calibration_pack(run: Path, data: DataConfig, *, int8: bool) -> Path:
    """The training pack: int8 takes its activation ranges from it. An fp32 export does not open it."""
    if int8 and data.train.startswith(SYNTH_PREFIX):
        recipe = data.train.removeprefix(SYNTH_PREFIX)
        raise ArgumentError(
            f"{run}: was trained on characters drawn during the training, so there is no pack to calibrate on; "
            f"draw a pack, hanmo synth {recipe} --set per_character=2 --seed 99 --out PACK, and name it with "
            "--calibration"
        )
    return Path(data.train)


def _test_pack(run: Path, data: DataConfig) -> Path:
    """The pack that the training was measured on, so that both accuracies are of the same samples."""
    if data.test is None:
        raise ArgumentError(f"{run}: was trained without a test pack; name one with --test")
    return Path(data.test)
