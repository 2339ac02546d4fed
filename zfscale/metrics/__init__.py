"""Measures of a trial: what is computed from its accuracies or losses, and the memory it took."""
