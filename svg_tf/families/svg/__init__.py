"""SVG: learned prior, fixed prior, deterministic baseline (Denton & Fergus, ICML 2018)."""
