"""The loop of one task: batches, the trainer that takes the steps, the objective, and what is kept for a restart."""
