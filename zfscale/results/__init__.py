"""What is known of a results directory: the schema of its tables, their checksums, what is whole and what is not."""
