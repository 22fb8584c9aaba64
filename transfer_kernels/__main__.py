"""``python -m transfer_kernels`` is the command ``transfer-kernels``."""

import sys

from transfer_kernels.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
