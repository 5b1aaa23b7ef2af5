facteurlibexec_PROGRAMS += filter
filter_SOURCES = \
	%reldir%/filter.h %reldir%/main.c %reldir%/visit.c %reldir%/message.c \
	%reldir%/link.c %reldir%/events.c %reldir%/answers.c %reldir%/policy.c
filter_LDADD = libmilter.a libpolicy.a $(MAIL_LIBS) $(IPC_LIBS)
