"""Contract suites for what users add: inherit one, write `make`, and pytest runs the tests that ours pass."""
