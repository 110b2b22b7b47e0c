//! The synthetic world an organism is trained on.
