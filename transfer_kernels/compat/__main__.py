"""The command ``python -m transfer_kernels.compat PEER script.py arguments``."""

from .running import main

if __name__ == "__main__":
    main()
