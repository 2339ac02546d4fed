"""What the seeds derived from a trial's, a task's and a step's are for; no two uses share a path."""

HEAD, ADAPTER, ORDER, STEP, QUERY, DROPOUT, SPARSE, REPLAY, DIRECTIONS = range(9)
PROJECTION, SPLIT, COLUMNS, AUXILIARY, FISHER, AUGMENT, LOOK = range(9, 16)
