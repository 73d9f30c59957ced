"""`python -m transfer VERB ...` is the command `transfer VERB ...`."""

from transfer.cli.main import run

if __name__ == "__main__":
    run()
