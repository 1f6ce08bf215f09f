"""The two demonstrations on real, small data: download, fit, evaluate.

Start with `prior` and `expression`; `download` fetches the data.
"""
