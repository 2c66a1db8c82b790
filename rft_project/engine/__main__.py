"""``python -m rft_project.engine``."""

from __future__ import annotations

import sys

from rft_project.engine.main import run

if __name__ == "__main__":
    sys.exit(run())
