"""``python -m spos``, the same as ``spos``."""

from spos.cli import entry

if __name__ == "__main__":
    entry()
