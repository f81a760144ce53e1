"""The classic reader: gradient direction features, Fisher LDA and MQDF in numpy, without any net.

features  squares -> direction features     lda     features -> few numbers     mqdf  these -> scores
reader    the three as one, save and load   baseline  run_classic: train, test, figures; cross-validation
"""
