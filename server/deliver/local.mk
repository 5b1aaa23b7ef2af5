noinst_LIBRARIES += libdeliver.a
libdeliver_a_SOURCES = \
	%reldir%/header.h %reldir%/header.c \
	%reldir%/redeem.h %reldir%/redeem.c \
	%reldir%/place.h %reldir%/place.c
facteurlibexec_PROGRAMS += deliver
deliver_SOURCES = %reldir%/deliver.c
deliver_LDADD = libdeliver.a libstore.a $(IPC_LIBS)
