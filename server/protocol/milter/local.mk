noinst_LIBRARIES += libmilter.a
libmilter_a_SOURCES = \
	%reldir%/packet.h %reldir%/packet.c \
	%reldir%/reply.h %reldir%/reply.c \
	%reldir%/fields.h %reldir%/fields.c \
	%reldir%/edits.h %reldir%/edits.c
