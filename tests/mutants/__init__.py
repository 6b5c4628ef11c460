"""Random mutants of ``stream/``: measures how many of them the quick tests detect.

``make mutants SEED=7`` draws 50 places in ``stream/`` where one of four small changes is possible,
makes each change in a copy of the tree, and runs the quick tests:

- a comparison is inverted: ``<`` becomes ``>=``, ``==`` becomes ``!=``, ``in`` becomes ``not in``;
- a number is increased by one;
- a call whose result is unused is removed;
- ``and`` becomes ``or``, ``or`` becomes ``and``.

Every place has the same chance, also one in a log line or a timeout. Left out are annotations,
docstrings, blocks for the type checker, and the inside of f-strings, whose positions Python 3.11
does not know.

Running all tests for each mutant would take hours. So each test file first runs alone and traced,
and a mutant is tested by the files that run its function, in their own process or in one that they
start, the quickest first. Tests of the model and of benchmarks are left out.

How to read the output: ``detected`` names the first test that failed. A mutant that survives is
shown as a diff. Look at each: either the change has no visible effect, or its tests need a real
broker (they do not run here), or a test is missing. Then write a test for that kind of mistake, not
for the mutant. The same seed on the same tree draws the same places. This is a measurement: it
exits with 0 however many mutants survive, and with 1 when the tests fail without a mutant.
"""
