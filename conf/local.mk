# The lookup tables are the administrator's once installed: an existing file is never overwritten.
LDAP_TABLES = \
	%reldir%/ldap/virtual_alias_domains.cf %reldir%/ldap/virtual_alias_maps.cf \
	%reldir%/ldap/virtual_mailbox_maps.cf %reldir%/ldap/virtual_uid_maps.cf \
	%reldir%/ldap/virtual_gid_maps.cf %reldir%/ldap/smtpd_sender_login_maps.cf \
	%reldir%/ldap/groups.cf
EXTRA_DIST += $(LDAP_TABLES) %reldir%/facteur.conf

install-data-local: install-ldap-tables install-configuration
install-configuration:
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/facteur'
	test -e '$(DESTDIR)$(sysconfdir)/facteur/facteur.conf' || \
	  $(INSTALL) -m 0640 $(srcdir)/%reldir%/facteur.conf '$(DESTDIR)$(sysconfdir)/facteur/facteur.conf'
install-ldap-tables:
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/facteur/ldap'
	for table in $(LDAP_TABLES); do \
	  to='$(DESTDIR)$(sysconfdir)/facteur/ldap/'$${table##*/}; \
	  test -e "$$to" || $(INSTALL) -m 0640 $(srcdir)/$$table "$$to" || exit 1; \
	done

uninstall-local: uninstall-ldap-tables uninstall-configuration
uninstall-configuration:
	! cmp -s $(srcdir)/%reldir%/facteur.conf '$(DESTDIR)$(sysconfdir)/facteur/facteur.conf' || \
	  rm -f '$(DESTDIR)$(sysconfdir)/facteur/facteur.conf'
uninstall-ldap-tables:
	for table in $(LDAP_TABLES); do \
	  to='$(DESTDIR)$(sysconfdir)/facteur/ldap/'$${table##*/}; \
	  ! cmp -s $(srcdir)/$$table "$$to" || rm -f "$$to"; \
	done
.PHONY: install-ldap-tables uninstall-ldap-tables install-configuration uninstall-configuration
include conf/manual.mk
include conf/directories/local.mk
