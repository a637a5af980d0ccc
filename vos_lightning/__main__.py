"""`python -m vos_lightning` is `vos-lightning`."""

import sys

from vos_lightning.cli import main

sys.exit(main())
