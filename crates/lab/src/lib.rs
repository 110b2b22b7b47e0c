//! Recipes become runs: arms x seeds x checkpoints, onset, comparisons, claims.
