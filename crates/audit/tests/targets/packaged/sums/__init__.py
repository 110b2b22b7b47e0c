"""An environment of verifiers that pays for the answer anywhere in the last reply."""

import verifiers.v1 as vf


class Data(vf.TaskData):
    answer: str


class Sum(vf.Task[Data]):
    @vf.reward(weight=1.0)
    async def said(self, trace) -> float:
        return float(self.data.answer in trace.last_reply)


class Sums(vf.Taskset[Sum]):
    def load(self):
        yield Sum(Data(prompt="What is 12 times 12?", answer="144"), self.config.task)


__all__ = ["Sums"]
