"""`python -m semtune` is the command line."""

from semtune.cli import run

if __name__ == "__main__":
    run()
