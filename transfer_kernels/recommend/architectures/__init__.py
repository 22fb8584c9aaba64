"""archi2vec: vectors of architectures, from the graphs of their operations."""
