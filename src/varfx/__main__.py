"""`python -m varfx` is the command line, for launchers that start Python modules (`torchrun -m varfx`)."""

from varfx.cli import main

if __name__ == "__main__":
    main()
