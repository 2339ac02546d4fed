"""`python -m zfscale` is `zfscale`."""

from __future__ import annotations

import os
import sys

# `python -m` has put the working directory first: a `yaml.py` there would be imported in place of the library.
if not getattr(sys.flags, "safe_path", False) and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]

from zfscale.cli import main

sys.exit(main())
