"""``python -m kratos_cachegen``."""

from __future__ import annotations

import sys

from kratos_cachegen.command import main

if __name__ == "__main__":
    sys.exit(main())
