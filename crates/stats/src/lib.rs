//! Intervals, paired tests, change points and power.
