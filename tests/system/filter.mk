TESTS += tests/system/filter.py tests/system/filter_real.py
EXTRA_DIST += tests/system/filter.py tests/lib/milter.py tests/system/filter_real.py
TESTS += tests/system/limits.py
EXTRA_DIST += tests/system/limits.py
TESTS += tests/system/lmtp.py
EXTRA_DIST += tests/system/lmtp.py
TESTS += tests/system/balancers.py
EXTRA_DIST += tests/system/balancers.py
