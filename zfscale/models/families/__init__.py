"""Families of models: how a kind of model is loaded, outlined, fed, wrapped and priced; one kind a file."""
