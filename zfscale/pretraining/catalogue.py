"""The embedded base models and what pretrains them."""

BUILDERS = {
    "vit-nano": "zfscale.pretraining.vit_nano:build_vit_nano",
    "vit-mini": "zfscale.pretraining.vit_mini:build_vit_mini",
    "lm-nano": "zfscale.pretraining.lm_nano:build_lm_nano",
    "mae-nano": "zfscale.pretraining.mae_nano:build_mae_nano",
}
