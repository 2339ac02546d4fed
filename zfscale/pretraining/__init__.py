"""How the embedded base models were made: `zfscale base build`."""
