TESTS += tests/system/directory.py
EXTRA_DIST += tests/system/directory.py tests/lib/directory.py tests/lib/slowproxy.py
