"""Random mutants of ``stream/``: how many of them do the quick tests notice?

``make mutants SEED=7`` draws 50 places in ``stream/`` at which one of four small changes can be
made, makes each of them in a copy of the tree, and runs the quick tests:

- a comparison is turned: ``<`` is ``>=``, ``==`` is ``!=``, ``in`` is ``not in``;
- a number is moved by one, up;
- a call whose result nobody uses is dropped;
- ``and`` is ``or``, ``or`` is ``and``.

Every place counts alike, whatever it is good for: that of a log line or of a time-out, too. Left
out are annotations, docstrings, blocks for the type checker alone, and what is inside of an
f-string, whose positions Python 3.11 does not know.

To run all tests for each mutant would take hours. So each test file runs once before, alone and
traced, and a mutant is tried by the files that run its function, in their process or in one that
they start, the quickest first. Tests of the model and of benchmarks are left out.

How to read it: ``noticed`` names the first test that failed. A mutant that lives is shown as a
diff. Look at each: it changes nothing that anybody can see; or its tests need a real broker (here
they don't run); or a test is missing. Then write it for the kind of mistake, not for the mutant.
The same seed on the same tree draws the same places. It is a measurement: it exits with 0 however
many live, and with 1 when the tests fail on the tree as it is.
"""
