"""Looking at a sweep, and ending it, from any terminal or machine that sees its results."""
