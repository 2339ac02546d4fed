"""Streams: datasets cut into tasks that arrive one after the other."""

from zfscale.streams.class_incremental import ClassIncremental

STREAMS = {"class_incremental": ClassIncremental}
