"""One trial: a stream x a method x an optimizer -> records; what it reads, what it costs, and its replay."""
