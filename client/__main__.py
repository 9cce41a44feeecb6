"""`python -m client`, and `python client` from anywhere."""

import sys
from pathlib import Path

if not __package__:
    # Run by its path, Python looks for modules inside client/ instead of beside it.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.cli import main

if __name__ == "__main__":
    sys.exit(main())
