noinst_LIBRARIES += libsmtp.a
libsmtp_a_SOURCES = \
	%reldir%/reader.h %reldir%/reader.c \
	%reldir%/data.h %reldir%/data.c \
	%reldir%/refusal.h %reldir%/refusal.c \
	%reldir%/reply.h %reldir%/reply.c \
	%reldir%/dsn.h %reldir%/dsn.c %reldir%/command.h %reldir%/command.c
