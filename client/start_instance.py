"""python client/start_instance.py: see --help."""

import sys
from pathlib import Path

if not __package__:
    # Run by its path, Python looks for modules inside client/ instead of beside it.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

try:
    from client.launcher.cli import main_start
except KeyboardInterrupt:
    sys.exit(130)
except ModuleNotFoundError as error:
    needed = "`make launch ARGS=--help` sets up .venv-launcher; or pip install -r requirements/launcher.txt"
    sys.exit(f"error: {error.name} is not installed: {needed}")

if __name__ == "__main__":
    sys.exit(main_start())
