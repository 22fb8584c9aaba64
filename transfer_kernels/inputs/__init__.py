"""The door: what callers hand over, checked once; every input error is worded here."""
