sbin_PROGRAMS += facteur
facteur_SOURCES = \
	%reldir%/main.c %reldir%/tools.h %reldir%/check.c %reldir%/control.c %reldir%/status.c \
	%reldir%/output.h %reldir%/output.c %reldir%/prompt.h %reldir%/prompt.c %reldir%/explain.c %reldir%/queue.c \
	%reldir%/access.h %reldir%/access.c %reldir%/filters.h %reldir%/filters.c \
	%reldir%/directory.c %reldir%/lint.h %reldir%/lint.c %reldir%/lint_entries.c %reldir%/lint_addresses.c \
	%reldir%/lint_accounts.c %reldir%/lint_server.c %reldir%/lint_sasl.c %reldir%/schema.h %reldir%/schema.c %reldir%/user.c %reldir%/domain.c %reldir%/map.c \
	%reldir%/conf.h %reldir%/conf.c %reldir%/conf_edit.c
facteur_LDADD = libsmtp.a $(MAIL_LIBS) $(LDAPMAP_LIBS) $(IPC_LIBS)
dist_man_MANS += %reldir%/facteur.8
