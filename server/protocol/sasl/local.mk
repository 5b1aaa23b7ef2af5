noinst_LIBRARIES += libsasl.a
libsasl_a_SOURCES = %reldir%/sasl.h %reldir%/sasl.c %reldir%/claim.h %reldir%/claim.c \
	%reldir%/bearer.h %reldir%/bearer.c
