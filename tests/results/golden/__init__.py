"""Result files as earlier versions wrote them: they are never made again, only added to.

``python -m tests.results.golden FILE.h5…`` writes beside a new one what is in it.
"""
