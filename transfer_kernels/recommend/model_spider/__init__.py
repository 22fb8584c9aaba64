"""Model Spider (Zhang et al., NeurIPS 2023): tokens of models and tasks, ranked by attention."""
