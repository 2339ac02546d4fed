"""Sinks: where the records of a trial go. Parquet is the truth; others are views, unless they commit a trial too."""
