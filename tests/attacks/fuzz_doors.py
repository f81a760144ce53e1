"""Coverage-guided fuzzing of one door with atheris: python tests/attacks/fuzz_doors.py DOOR [--minutes 1]

Needs atheris, which hanmo itself does not: `pip install atheris` (Linux and macOS). It starts from the good file and
from the seeds of the door, keeps every input that reaches new code in build/fuzz/DOOR, and stops at the first input
that ends in anything but a HanmoError, or that takes too long or too much memory. A smaller set of inputs that reach as
much is written to tests/attacks/seeds/DOOR with --keep; `make test` replays it.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SEEDS = HERE / "seeds"
MAX_LENGTH = 8192  # bytes of an input: small ones are quick, and all formats fit
MAX_SEED, MAX_SEEDS = 2048, 20  # bytes of a seed that is kept, and seeds of a door
SECONDS, MEGABYTES = 5, 1500  # of one input, under the fuzzer's instruments, which slow it down some ten times


def fuzz(door: str, rest: list[str]) -> None:
    """The process that fuzzes; libFuzzer ends it."""
    import atheris

    sys.path[:0] = [str(HERE.parent), str(ROOT / "src")]
    with atheris.instrument_imports(include=["hanmo", "PIL", "tomllib", "json", "csv", "attacks"]):
        from attacks import doors

    data = doors.good(door)
    doors.enter(door, data)
    atheris.Setup([sys.argv[0], *rest], lambda given: doors.enter(door, given) and None)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("door")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--keep", action="store_true", help="Write a sample of the inputs to tests/attacks/seeds.")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    given, rest = parser.parse_known_args()
    if given.run:
        fuzz(given.door, rest)
        return
    sys.path[:0] = [str(HERE.parent), str(ROOT / "src")]
    from attacks import doors

    corpus = ROOT / "build" / "fuzz" / given.door
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "good").write_bytes(doors.good(given.door))
    SEEDS.joinpath(given.door).mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={given.minutes * 60:.0f}", f"-max_len={MAX_LENGTH}", f"-timeout={SECONDS}"]
    options += [f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={corpus.parent}/{given.door}-", "-print_final_stats=1"]
    command = [sys.executable, __file__, given.door, "--run", *options, str(corpus), str(SEEDS / given.door)]
    status = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode
    if given.keep:
        keep(corpus, SEEDS / given.door)
    sys.exit(status)


def keep(corpus: Path, seeds: Path) -> None:
    """Copy a random sample of the small inputs of the corpus; their names are their digests."""
    small = sorted(file for file in corpus.iterdir() if file.name != "good" and file.stat().st_size <= MAX_SEED)
    kept = list(seeds.iterdir())
    for file in random.Random(0).sample(small, min(len(small), max(MAX_SEEDS - len(kept), 0))):
        (seeds / file.name).write_bytes(file.read_bytes())


if __name__ == "__main__":
    main()
