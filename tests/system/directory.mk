TESTS += tests/system/directory.py tests/system/picture.py
EXTRA_DIST += tests/system/directory.py tests/system/picture.py tests/lib/directory.py tests/lib/slowproxy.py
