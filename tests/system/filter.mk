TESTS += tests/system/filter.py
EXTRA_DIST += tests/system/filter.py tests/lib/milter.py
