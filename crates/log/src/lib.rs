//! Run folders, metrics, Parquet and Inspect logs.
