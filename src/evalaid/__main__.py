"""``python -m evalaid`` is the command ``evalaid``."""

from evalaid.cli import main

if __name__ == "__main__":
    main()
