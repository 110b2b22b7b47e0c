"""Reads event files of ours with TensorBoard's own reader and compares them with the metrics they are made of.

    loophole export tfevents RUN --out FOLDER
    python check_tfevents.py RUN FOLDER
"""

import json
import math
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main(run: str, folder: str) -> None:
    read = 0
    for metrics in sorted(Path(run).glob("arms/*/seed-*/metrics.jsonl")):
        place = Path(folder) / metrics.parent.parent.name / metrics.parent.name
        found = EventAccumulator(str(place), size_guidance={"scalars": 0})
        found.Reload()
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        for name in ("reward", "hack_rate", "honest_rate", "loss", "kl"):
            expected = [(line["step"], line[name]) for line in lines if line[name] is not None]
            if not expected:
                assert name not in found.Tags()["scalars"], name
                continue
            events = found.Scalars(name)
            assert [event.step for event in events] == [step for step, _ in expected], name
            assert all(math.isclose(e.value, v, rel_tol=1e-6) for e, (_, v) in zip(events, expected)), name
            assert all(event.wall_time > 1.6e9 for event in events), name
            read += len(events)
        families = {f"families/{name}" for line in lines for name in line["families"]}
        assert families <= set(found.Tags()["scalars"]), families
    assert read, "no scalar was read"
    print(f"{read} scalars")


if __name__ == "__main__":
    main(*sys.argv[1:])
