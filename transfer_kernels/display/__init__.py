"""Pictures of what was ranked and evaluated."""
