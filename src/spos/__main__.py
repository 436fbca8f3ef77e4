"""``python -m spos``, the same as ``spos``."""

from spos._cli.main import entry

if __name__ == "__main__":
    entry()
