"""`zfscale measure`: any metric of a trial at any step of its past, from base weights and ledger; nothing was saved."""
