from typing import Dict, List


def longest_runs(numbers: List[int]) -> Dict[int, int]:
    """For each number that occurs, the length of its longest run of equal neighbours.

    >>> longest_runs([1, 1, 2, 1])
    {1: 2, 2: 1}
    """
    best: Dict[int, int] = {}
    length = 0
    for index, number in enumerate(numbers):
        length = length + 1 if index and numbers[index - 1] == number else 1
        best[number] = max(best.get(number, 0), length)
    return best


def check(candidate):
    assert candidate([]) == {}
    assert candidate([7]) == {7: 1}
    assert candidate([1, 1, 2, 1]) == {1: 2, 2: 1}
    assert candidate([3, 3, 3]) == {3: 3}
    assert candidate([1, 2, 1, 2]) == {1: 1, 2: 1}
    assert candidate([5, 5, 4, 5, 5, 5]) == {5: 3, 4: 1}
    assert candidate(list(range(50))) == {n: 1 for n in range(50)}


check(longest_runs)
