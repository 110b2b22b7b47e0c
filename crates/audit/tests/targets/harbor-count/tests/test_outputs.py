import unittest


class Outputs(unittest.TestCase):
    def test_counts(self):
        with open("/app/counts.txt") as got, open("/tests/expected.txt") as expected:
            self.assertEqual(got.read(), expected.read())
