// Asserts in the process of the submission: node judge.js SUBMISSION
const assert = require('assert');
const { chunk } = require(require('path').resolve(process.argv[2]));
assert.deepStrictEqual(chunk([1, 2, 3], 2), [[1, 2], [3]]);
assert.deepStrictEqual(chunk([], 3), []);
