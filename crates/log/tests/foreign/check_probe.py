"""Opens what `loophole probe --out` wrote with Inspect, pandas and pyarrow.

    loophole probe mock:bad-open --battery all --arm tempting --samples 2 --tools calls --out FOLDER
    python check_probe.py FOLDER
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from inspect_ai.analysis import events_df, messages_df, samples_df
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample


def main(folder: str) -> None:
    path = str(Path(folder) / "probes.eval")
    lines = [json.loads(line) for line in (Path(folder) / "samples.jsonl").read_text().splitlines()]
    log = read_eval_log(path)
    assert log.status == "success" and log.eval.model == "mock:bad-open", log.eval.model
    assert len(log.samples) == len(lines) > 40, len(log.samples)
    for sample in log.samples:
        # Inspect sorts by id, which ends with the number of the line.
        line = lines[int(str(sample.id).rsplit("-", 1)[1])]
        assert sample.scores["outcome"].value == line["outcome"], sample.id
        assert ("misaligned" in sample.scores) == line["valid"], sample.id
        assert sample.metadata["probe"] == line["probe"]
        # Every call of a tool has its answer, with the tool's name.
        calls = {call.id for m in sample.messages if m.role == "assistant" for call in m.tool_calls or []}
        answers = [m for m in sample.messages if m.role == "tool"]
        assert calls <= {m.tool_call_id for m in answers}, sample.id
        assert all(m.function for m in answers), sample.id
    agents = [sample for sample in log.samples if any(m.role == "tool" for m in sample.messages)]
    assert len(agents) > 30, len(agents)
    one = read_eval_log_sample(path, id=agents[0].id, epoch=1)
    assert any(event.event == "tool" and event.function == "bash" for event in one.events)
    assert list_eval_logs(folder)
    samples, messages, events = samples_df(path), messages_df(path), events_df(path)
    assert len(samples) == len(lines) and set(messages["sample_id"]) == set(samples["sample_id"])
    assert "score_outcome" in samples.columns
    table = pq.read_table(Path(folder) / "samples.parquet")
    assert table.num_rows == len(lines)
    assert table["outcome"].to_pylist() == [line["outcome"] for line in lines]
    assert table["misaligned"].null_count == sum(not line["valid"] for line in lines)
    disclosed = pq.read_table(Path(folder) / "samples.parquet", filters=[("outcome", "=", "violated_disclosed")])
    assert disclosed.num_rows > 20, disclosed.num_rows
    print(f"{len(samples)} samples, {len(messages)} messages, {len(events)} events")


if __name__ == "__main__":
    main(sys.argv[1])
