"""The command ``transfer-kernels``: a module for each group of commands."""
