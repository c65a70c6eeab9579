"""``python -m bytespike_cli.simulator``."""

import sys

from bytespike_cli.simulator import main

sys.exit(main(sys.argv[1:]))
