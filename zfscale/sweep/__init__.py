"""The sweep: which trials are missing, what they will cost, and running them on a Ray cluster."""
