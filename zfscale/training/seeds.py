"""What the seeds derived from a trial's, a task's and a step's are for; no two uses share a path."""

HEAD, ADAPTER, ORDER, STEP, QUERY, DROPOUT, SPARSE, REPLAY, DIRECTIONS, PROJECTION, SPLIT, COLUMNS, AUXILIARY = range(
    13
)
