"""Continual-learning methods: what is learned from a task and how it is predicted; one method a file."""
