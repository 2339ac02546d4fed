"""Streams: data cut into tasks that arrive one after the other; one kind a file."""
