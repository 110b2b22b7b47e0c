//! The behaviour battery: scenarios, agent loops in cells, state scoring.
