"""`python -m zfscale` is `zfscale`."""

from __future__ import annotations

import sys

from zfscale.cli import main

sys.exit(main())
