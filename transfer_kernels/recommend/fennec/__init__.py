"""Fennec (Bai et al.): a model's place among tasks, from past transfers and its architecture."""
