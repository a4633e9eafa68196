//! What every adapter must do, as one generic body run for each.
