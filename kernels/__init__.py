"""The hot operations: a folder for each, with its contract, its definition, its fast versions."""
