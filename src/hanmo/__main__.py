"""``python -m hanmo``, the form torchrun needs."""

from hanmo.cli.main import main

if __name__ == "__main__":
    main()
