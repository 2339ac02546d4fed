"""Where examples come from: image datasets and texts. The order in which they arrive is the business of `streams`."""
