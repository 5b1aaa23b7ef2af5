noinst_LIBRARIES += libpolicy.a
libpolicy_a_SOURCES = %reldir%/policy.h %reldir%/policy.c
