//! The small CPU engine: tokenizer, decoder, LoRA, sampling, checkpoints.
