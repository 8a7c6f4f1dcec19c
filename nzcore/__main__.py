"""`python -m nzcore` is `nzcore`."""

from nzcore.cli.main import run

if __name__ == "__main__":
    run()
