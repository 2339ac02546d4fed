"""The commands: each is one small function that imports what it needs when it runs, and gives the exit status."""
