"""`python -m btcore`, the same as the command `btcore`."""

import sys

from btcore.cli import main

sys.exit(main())
