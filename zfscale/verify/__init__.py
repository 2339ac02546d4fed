"""`zfscale verify`: do results say what happened? Trials are replayed from their ledgers, and measured again."""
