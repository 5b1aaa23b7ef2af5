# Units, users and directories, with the paths of this build.
EXTRA_DIST += %reldir%/facteur.service.in %reldir%/facteur.sysusers %reldir%/facteur.tmpfiles.in
CLEANFILES += %reldir%/facteur.service %reldir%/facteur.tmpfiles
SYSTEMD_SUBST = $(SED) -e 's,@sbindir[@],$(sbindir),g' -e 's,@sysconfdir[@],$(sysconfdir),g' \
	-e 's,@localstatedir[@],$(localstatedir),g'

%reldir%/facteur.service: $(srcdir)/%reldir%/facteur.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %reldir% && $(SYSTEMD_SUBST) $(srcdir)/%reldir%/facteur.service.in >$@
%reldir%/facteur.tmpfiles: $(srcdir)/%reldir%/facteur.tmpfiles.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %reldir% && $(SYSTEMD_SUBST) $(srcdir)/%reldir%/facteur.tmpfiles.in >$@

systemdsystemunit_DATA = %reldir%/facteur.service
all-local: %reldir%/facteur.tmpfiles

# Both are called facteur.conf where they go.
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d
install-data-local: install-systemd
install-systemd: %reldir%/facteur.tmpfiles
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)' '$(DESTDIR)$(tmpfilesdir)'
	$(INSTALL_DATA) $(srcdir)/%reldir%/facteur.sysusers '$(DESTDIR)$(sysusersdir)/facteur.conf'
	$(INSTALL_DATA) %reldir%/facteur.tmpfiles '$(DESTDIR)$(tmpfilesdir)/facteur.conf'
uninstall-local: uninstall-systemd
uninstall-systemd:
	rm -f '$(DESTDIR)$(sysusersdir)/facteur.conf' '$(DESTDIR)$(tmpfilesdir)/facteur.conf'
.PHONY: install-systemd uninstall-systemd
