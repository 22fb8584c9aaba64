"""Files: one reader and one writer a format, for features, labels, scores and tables."""
