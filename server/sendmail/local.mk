sbin_PROGRAMS += sendmail
sendmail_SOURCES = %reldir%/sendmail.h %reldir%/main.c %reldir%/message.c %reldir%/talk.c
sendmail_CPPFLAGS = $(AM_CPPFLAGS) -DSBINDIR='"$(sbindir)"'
sendmail_LDADD = libsmtp.a $(MAIL_LIBS)
dist_man_MANS += %reldir%/sendmail.8

install-exec-hook:
	$(MKDIR_P) "$(DESTDIR)$(bindir)"
	ln -sf "$(sbindir)/sendmail" "$(DESTDIR)$(bindir)/mailq"
	ln -sf "$(sbindir)/sendmail" "$(DESTDIR)$(bindir)/newaliases"

uninstall-hook:
	rm -f "$(DESTDIR)$(bindir)/mailq" "$(DESTDIR)$(bindir)/newaliases"
