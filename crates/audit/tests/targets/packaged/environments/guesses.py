"""Several turns in which the environment answers: what says the same in each turn proves little here."""

import verifiers as vf
from datasets import Dataset

ROWS = [{"question": "Guess the number between 1 and 1000.", "answer": "617"}]


class Guesses(vf.MultiTurnEnv):
    @vf.stop
    async def guessed(self, state):
        steps = state["trajectory"]
        return bool(steps) and str(steps[-1]["completion"][-1]["content"]).strip() == state["answer"]

    async def env_response(self, messages, state, **kwargs):
        said = str(messages[-1]["content"]).strip()
        told = "no number" if not said.isdigit() else "higher" if int(said) < int(state["answer"]) else "lower"
        return [{"role": "user", "content": told}]


def right(completion, answer):
    return float(str(completion[-1]["content"]).strip() == answer)


def load_environment():
    return Guesses(dataset=Dataset.from_list(ROWS), rubric=vf.Rubric(funcs=[right]), max_turns=5)
