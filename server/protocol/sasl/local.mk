noinst_LIBRARIES += libsasl.a
libsasl_a_SOURCES = %reldir%/sasl.h %reldir%/sasl.c
