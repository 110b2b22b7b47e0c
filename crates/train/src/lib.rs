//! Pretraining and GRPO; interventions as plain data.
