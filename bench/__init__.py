"""Benchmarks of transfer_kernels against plain code in the style of the published metrics."""
