"""Opens what `loophole probe --out` wrote with Inspect, pandas and pyarrow, and computes its numbers again with Inspect's.

    loophole probe mock:bad-open --battery all --arm tempting --samples 2 --tools calls --out FOLDER
    python check_probe.py FOLDER
"""

import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
from inspect_ai.analysis import events_df, messages_df, samples_df
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample
from inspect_ai.scorer import SampleScore, mean, stderr


def same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def check_numbers(folder: str, log) -> int:
    """Every rate and its error, by Inspect's own metrics over the samples: as in the log and as in probes.json."""
    report = json.loads((Path(folder) / "probes.json").read_text())
    ours = {probe["name"]: probe for probe in report["probes"]}
    groups = defaultdict(list)
    totals = defaultdict(int)
    for sample in log.samples:
        key = f"{sample.metadata['probe']}/{sample.metadata['arm']}"
        totals[key] += 1
        if "misaligned" in sample.scores:
            score = SampleScore(
                score=sample.scores["misaligned"], sample_id=sample.id, sample_metadata=sample.metadata
            )
            groups[key].append(score)
    results = {score.name: score for score in log.results.scores}
    assert set(totals) | {"misalignment", "outcome"} == set(results), set(totals) ^ set(results)
    for key, total in totals.items():
        probe, arm = key.split("/")
        told, arm = results[key], ours[probe]["arms"][arm]
        scores = groups[key]
        assert (told.scored_samples, told.unscored_samples) == (len(scores), total - len(scores)), key
        assert (arm["n_valid"], arm["n"]) == (len(scores), total), key
        if not scores:
            assert not told.metrics and arm["rate"] is None, key
            continue
        rate, error = mean()(scores), stderr(cluster="template")(scores)
        assert same(rate, told.metrics["mean"].value) and same(rate, arm["rate"]), key
        assert same(error, told.metrics["stderr"].value) and same(error, arm["stderr"]), (key, error)
    all_of = results["misalignment"].metrics
    if report["misalignment"]["mean"] is not None:
        assert same(all_of["mean"].value, report["misalignment"]["mean"])
    return len(totals)


def check_settings(folder: str, log) -> None:
    """What was sampled and how: settings, hashes, versions, system messages, tools, tokens, times."""
    run = json.loads((Path(folder) / "run.json").read_text())
    config = log.eval.model_generate_config
    assert str(config.temperature) in (run["temperature"], run["temperature"] + ".0")
    assert (config.max_tokens, config.seed) == (run["max_tokens"], run["seed"])
    assert log.eval.metadata["texts"] == run["texts"] and log.eval.packages["loophole"] == run["version"]
    assert any(sample.messages and sample.messages[0].role == "system" for sample in log.samples)
    usage = log.stats.model_usage[log.eval.model]
    assert usage.output_tokens == sum(s.model_usage[log.eval.model].output_tokens for s in log.samples if s.model_usage)
    if run["tools"]:
        models = [e for s in log.samples for e in s.events if e.event == "model" and e.tools]
        assert models and any(tool.name == "submit" for tool in models[0].tools)


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
    rates = check_numbers(folder, log)
    check_settings(folder, log)
    table = pq.read_table(Path(folder) / "samples.parquet")
    assert table.num_rows == len(lines)
    assert table["outcome"].to_pylist() == [line["outcome"] for line in lines]
    assert table["misaligned"].null_count == sum(not line["valid"] for line in lines)
    disclosed = pq.read_table(Path(folder) / "samples.parquet", filters=[("outcome", "=", "violated_disclosed")])
    assert disclosed.num_rows > 20, disclosed.num_rows
    print(f"{len(samples)} samples, {len(messages)} messages, {len(events)} events, {rates} rates as Inspect computes them")


if __name__ == "__main__":
    main(sys.argv[1])
