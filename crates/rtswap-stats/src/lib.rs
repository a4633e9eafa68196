//! From slices to ratios, intervals and verdicts: pure, no I/O.
