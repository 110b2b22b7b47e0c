//! Tasks, graders with weaknesses, the oracle and verdicts.
