"""The classic reader: gradient direction features, Fisher LDA and MQDF in numpy, without any net.

features  squares -> direction features     lda     features -> few numbers     mqdf  these -> scores
reader    the three as one      store     save and load
baseline  run_classic: fit, test, figures; cross-validation
"""
