"""Lets a setup.py run that has flags at the end of a regular expression, as Python 2 allowed."""

import re

search = re.search


def search_with_flags_first(pattern, string, flags=0):
    if isinstance(pattern, str) and pattern.endswith("(?s)"):
        pattern, flags = pattern.removesuffix("(?s)"), flags | re.DOTALL
    return search(pattern, string, flags)


re.search = search_with_flags_first
