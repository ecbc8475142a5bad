"""Makes the small problem of runs.py importable by the tests of this folder, however pytest is started."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
