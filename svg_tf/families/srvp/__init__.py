"""SRVP: a state-space model with residual updates (Franceschi et al., ICML 2020)."""
