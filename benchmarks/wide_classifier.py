"""Makes `wide` and `wide-nano` of the runs that benchmarks/vocabulary.md lists: a new classifier, then shifted logits.

    python benchmarks/wide_classifier.py runs/wide-mean runs/wide-signs runs/pages-wide-signs --out runs/wide-final
    python benchmarks/wide_classifier.py runs/nano-mean --out runs/wide-nano-final

Of the runs after the first only the classifier (``bottleneck`` and ``fc``) is taken, 0.2 of the second run and 0.8 of
the third; convolutions and norms stay those of the first run. Norms that are trained on digits and letters that often
read real characters worse (benchmarks/vocabulary.md has the figures).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from hanmo.charset import named_charset
from hanmo.train.run import load_trained, write_weights

CLEAN_SHARE = 0.2
SHIFTS = {"digits": 0.5, "latin": -0.7, "ascii-punctuation": -0.5, "symbols": -2.0}
"""Added to the logits of these sets, which were drawn ten times as often as others: they are rarer in text."""


def main(
    runs: Annotated[list[Path], typer.Argument(help="The mean, and, if any, the runs on clean squares and on pages.")],
    out: Annotated[Path, typer.Option(help="The folder for the weights.")],
) -> None:
    trained = load_trained(runs[-1])
    weights = trained.net.state_dict()
    if len(runs) == 3:
        mean, clean, pages = (load_trained(run).net.state_dict() for run in runs)
        for name in weights:
            if name.startswith(("fc.", "bottleneck.")):
                weights[name] = CLEAN_SHARE * clean[name] + (1 - CLEAN_SHARE) * pages[name]
            else:
                weights[name] = mean[name]
    for names, shift in SHIFTS.items():
        characters = set(named_charset(names))
        weights["fc.bias"][torch.tensor([character in characters for character in trained.charset])] += shift
    out.mkdir(parents=True)
    write_weights(
        out / "weights.safetensors",
        weights,
        config=trained.config,
        charset=trained.charset,
        groups=trained.groups,
        normalization=trained.normalization,
        trained_on=trained.trained_on,
        accuracy={},
    )


if __name__ == "__main__":
    typer.run(main)
