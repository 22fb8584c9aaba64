"""Many models, one target: the ranked table, its workers and journal, and ensembles."""
