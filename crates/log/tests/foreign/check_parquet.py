"""Opens a rollouts file of ours with pyarrow and pandas.

    cargo run --release -p loophole-log --example sample_run -- FOLDER
    python check_parquet.py FOLDER
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def main(folder: str) -> None:
    path = next(Path(folder).rglob("*.parquet"))
    table = pq.read_table(path)
    assert table.num_rows == 40, table.num_rows
    types = {field.name: field.type for field in table.schema}
    text = {"task_id", "prompt", "completion", "thought", "verdict", "family", "mechanism", "grader_said", "oracle_said"}
    assert {name for name, t in types.items() if t == pa.string()} == text, types
    assert {name for name, t in types.items() if t == pa.float64()} == {"reward", "advantage", "kl"}
    assert {name for name, t in types.items() if t == pa.int32()} == {"step", "group"}
    assert table["family"].null_count == 30 and table["advantage"].null_count == 1
    assert table["prompt"][0].as_py() == "Schreibe `add` ✓"
    hacks = pq.read_table(path, filters=[("verdict", "=", "hack")])
    assert hacks.num_rows == 10 and set(hacks["mechanism"].to_pylist()) == {"os._exit"}
    frame = table.to_pandas()
    assert frame["kl"].iloc[39] == 0.39
    print(f"{path.name}: {table.num_rows} rows, {table.num_columns} columns")


if __name__ == "__main__":
    main(sys.argv[1])
