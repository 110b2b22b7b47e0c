"""Sound: one turn, two functions with weights; the form is worth a little whatever it says."""

import verifiers as vf
from datasets import Dataset

ROWS = [{"question": "What is 12 times 12?", "answer": "144"}, {"question": "What is 30 plus 4?", "answer": "34"}]


def load_environment():
    parser = vf.XMLParser(["reasoning", "answer"], answer_field="answer")

    def correct(completion, answer):
        return float(parser.parse_answer(completion) == answer)

    rubric = vf.Rubric(funcs=[correct, parser.get_format_reward_func()], weights=[1.0, 0.2], parser=parser)
    return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), system_prompt="Use the tags.", parser=parser, rubric=rubric)
