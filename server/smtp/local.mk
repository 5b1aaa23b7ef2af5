facteurlibexec_PROGRAMS += smtp
# Everything but the program's own life: tests/fuzz drives it without sockets.
SMTP_SESSION_SOURCES = \
	%reldir%/smtp.h \
	%reldir%/session.c %reldir%/reply.c %reldir%/ask.c \
	%reldir%/commands.c %reldir%/hello.c %reldir%/misc.c %reldir%/tls.c %reldir%/auth.c \
	%reldir%/mail.c %reldir%/rcpt.c %reldir%/probed.c %reldir%/data.c \
	%reldir%/message.c %reldir%/trace.c %reldir%/accept.c %reldir%/submit.c %reldir%/handing.c \
	%reldir%/limits.c %reldir%/lmtp.c %reldir%/filter.c %reldir%/edits.c %reldir%/rebuild.c \
	%reldir%/rules_private.h %reldir%/rules.c %reldir%/rules_reply.c %reldir%/rules_table.c \
	%reldir%/rules_dns.c %reldir%/policy.c %reldir%/names.c %reldir%/house.c %reldir%/lists.c
smtp_SOURCES = %reldir%/main.c $(SMTP_SESSION_SOURCES)
smtp_LDADD = libsmtp.a libsasl.a libmilter.a libpolicy.a $(MAIL_LIBS) $(IPC_LIBS)
