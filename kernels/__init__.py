"""The hot operations: one folder an op, holding its contract, its definition and every machine's version."""
