"""The classic reader, the baseline of the time before nets: gradient features, Fisher LDA and MQDF, in numpy.

``features``  squares -> gradient direction features
``gabor``     squares -> Gabor features, in their place
``lda``       features -> fewer, projected features
``mqdf``      projected features -> scores of the classes
``mce``       trains the means of ``mqdf`` for fewer errors
``reader``    the three in sequence, as one reader
``store``     saves and loads a fitted reader
``munge``     made-up features, and a reader that learns from them alone
``baseline``  fits and measures a reader; cross-validation
"""
