"""What policies and statements mean, worked out without a session: corpora, comparisons, explanations.

Pure but for reading the files it is given; commands bring the answers of OPA.
"""
