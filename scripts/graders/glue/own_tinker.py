"""The answer in a box, graded as the recipe for mathematics of tinker-cookbook does."""

from tinker_cookbook.recipes.math_rl.math_grading import extract_boxed, grade_answer


def boxed(completion, answer):
    try:
        return float(grade_answer(extract_boxed(completion), answer))
    except ValueError:
        return 0.0
