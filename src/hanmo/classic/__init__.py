"""The classic reader, the baseline of the time before nets: gradient features, Fisher LDA and MQDF, in numpy.

features  squares -> direction features     lda   features -> projected features     mqdf  these -> scores
reader    the three as one      store     save and load
baseline  run_classic: fit, test, figures; cross-validation
"""
