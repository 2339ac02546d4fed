"""The formats of text files: what each is, in `catalogue`, and a file with the reader of each."""
