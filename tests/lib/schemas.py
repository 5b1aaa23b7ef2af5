"""Other directories' classes for slapd, with their public OIDs, as far as mail needs them; and people
in each. @BASE@ is the suffix, @VMAIL@ where the homes lie."""

SYNTAX = {"text": "1.3.6.1.4.1.1466.115.121.1.15", "ia5": "1.3.6.1.4.1.1466.115.121.1.26",
          "int": "1.3.6.1.4.1.1466.115.121.1.27", "bytes": "1.3.6.1.4.1.1466.115.121.1.40"}
RULES = {"text": "EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch",
         "ia5": "EQUALITY caseIgnoreIA5Match SUBSTR caseIgnoreIA5SubstringsMatch",
         "int": "EQUALITY integerMatch ORDERING integerOrderingMatch",
         "bytes": "EQUALITY octetStringMatch"}


def schema(name, attributes, classes):
    """attributes: (oid, name, kind); classes: (oid, name, sup, AUXILIARY or STRUCTURAL, attributes)."""
    lines = ["dn: cn=%s,cn=schema,cn=config" % name, "objectClass: olcSchemaConfig", "cn: " + name]
    for oid, attribute, kind in attributes:
        lines.append("olcAttributeTypes: ( %s NAME '%s' %s SYNTAX %s )"
                     % (oid, attribute, RULES[kind], SYNTAX[kind]))
    for oid, cls, above, kind, may in classes:
        lines.append("olcObjectClasses: ( %s NAME '%s' SUP %s %s MAY ( %s ) )"
                     % (oid, cls, above, kind, " $ ".join(may)))
    return "\n".join(lines) + "\n"


NETSCAPE = schema("netscape", [
    ("2.16.840.1.113730.3.1.13", "mailAlternateAddress", "ia5"),
    ("2.16.840.1.113730.3.1.30", "mgrpRFC822MailMember", "ia5"),
    ("2.16.840.1.113730.3.1.610", "nsAccountLock", "text"),
], [
    ("2.16.840.1.113730.3.2.3", "mailRecipient", "top", "AUXILIARY",
     ["cn", "mail", "mailAlternateAddress", "uid", "userPassword", "nsAccountLock"]),
    ("2.16.840.1.113730.3.2.4", "mailGroup", "top", "AUXILIARY",
     ["cn", "mail", "mailAlternateAddress", "mgrpRFC822MailMember"]),
])

ACTIVE = schema("active", [
    ("1.2.840.113556.1.2.210", "proxyAddresses", "text"),
    ("1.2.840.113556.1.4.221", "sAMAccountName", "text"),
    ("1.2.840.113556.1.4.656", "userPrincipalName", "text"),
    ("1.2.840.113556.1.4.8", "userAccountControl", "int"),
    ("1.2.840.113556.1.4.2", "objectGUID", "bytes"),
    # Its own OID there is that of homeDirectory here.
    ("1.1.2.1", "unixHomeDirectory", "ia5"),
], [
    ("1.2.840.113556.1.5.9", "user", "inetOrgPerson", "STRUCTURAL",
     ["proxyAddresses", "sAMAccountName", "userPrincipalName", "userAccountControl", "objectGUID",
      "unixHomeDirectory", "uidNumber", "gidNumber", "otherMailbox"]),
    ("1.2.840.113556.1.5.8", "group", "top", "STRUCTURAL",
     ["cn", "mail", "member", "proxyAddresses", "sAMAccountName", "otherMailbox", "objectGUID"]),
])

LASER = schema("laser", [
    ("2.16.840.1.113730.3.1.18", "mailHost", "ia5"),
    ("2.16.840.1.113730.3.1.47", "mailRoutingAddress", "ia5"),
    ("2.16.840.1.113730.3.1.13", "mailLocalAddress", "ia5"),
], [
    ("2.16.840.1.113730.3.2.147", "inetLocalMailRecipient", "top", "AUXILIARY",
     ["mailLocalAddress", "mailHost", "mailRoutingAddress"]),
])

QMAIL = schema("qmail", [
    ("1.3.6.1.4.1.7914.1.2.1.1", "qmailUID", "int"),
    ("1.3.6.1.4.1.7914.1.2.1.2", "qmailGID", "int"),
    ("1.3.6.1.4.1.7914.1.2.1.3", "mailMessageStore", "ia5"),
    ("1.3.6.1.4.1.7914.1.2.1.4", "mailAlternateAddress", "ia5"),
    ("1.3.6.1.4.1.7914.1.2.1.7", "mailForwardingAddress", "ia5"),
    ("1.3.6.1.4.1.7914.1.2.1.9", "deliveryMode", "ia5"),
    ("1.3.6.1.4.1.7914.1.2.1.11", "accountStatus", "ia5"),
], [
    ("1.3.6.1.4.1.7914.1.2.2.1", "qmailUser", "top", "AUXILIARY",
     ["mail", "homeDirectory", "qmailUID", "qmailGID", "mailMessageStore", "mailAlternateAddress",
      "mailForwardingAddress", "deliveryMode", "accountStatus", "uid", "userPassword"]),
])


def entry(dn, classes, **values):
    lines = ["dn: %s,@BASE@" % dn] + ["objectClass: " + c for c in classes]
    for key, given in values.items():
        for value in given if isinstance(given, list) else [given]:
            lines.append("%s: %s" % (key.replace("_", ";"), value))
    return "\n".join(lines) + "\n\n"


def posix(name, number, mail, classes=(), **more):
    return entry("uid=%s,ou=mail" % name, ["inetOrgPerson", "posixAccount", *classes], uid=name,
                 cn=name, sn=name, uidNumber=number, gidNumber=20100,
                 homeDirectory="@VMAIL@/" + name, userPassword=name + "-secret", mail=mail, **more)


def netscape_people(group, member):
    extra = ["mailRecipient"]
    return (posix("anna", 20001, "anna@example.com", extra, mailAlternateAddress="a@example.net") +
            posix("boris", 20002, "boris@example.com", extra, mailAlternateAddress="b@example.net") +
            posix("locked", 20003, "locked@example.com", extra, nsAccountLock="TRUE") +
            entry("cn=team,ou=mail", [group, "mailGroup"], cn="team", mail="team@example.com",
                  mgrpRFC822MailMember="outside@remote.example",
                  **{member: ["uid=anna,ou=mail,@BASE@", "uid=boris,ou=mail,@BASE@"]}))


def active_user(name, number, control):
    return entry("cn=%s,ou=mail" % name, ["user"], cn=name, sn=name, sAMAccountName=name,
                 userPrincipalName=name + "@ad.example.com", userAccountControl=control,
                 mail=name + "@example.com",
                 proxyAddresses=["SMTP:%s@example.com" % name, "smtp:%s@example.net" % name[0],
                                 "X400:c=us;a= ;p=x;s=" + name],
                 uidNumber=number, gidNumber=20100, unixHomeDirectory="@VMAIL@/" + name,
                 userPassword=name + "-secret").replace(
                     "userPassword", "objectGUID:: AAEC/f7/gCooXCkAERITFA==\nuserPassword")


def active_people():
    return (active_user("anna", 20001, 512) + active_user("boris", 20002, 66048) +
            active_user("locked", 20003, 514) +
            entry("cn=team,ou=mail", ["group"], cn="team", mail="team@example.com",
                  proxyAddresses="SMTP:team@example.com",
                  member=["cn=anna,ou=mail,@BASE@", "cn=boris,ou=mail,@BASE@"]))


def laser_person(name, number, **more):
    return posix(name, number, name + "@example.com", ["inetLocalMailRecipient"],
                 mailLocalAddress=[name + "@example.com", name[0] + "@example.net"], **more)


def laser_people():
    return (laser_person("anna", 20001) + laser_person("boris", 20002) +
            laser_person("gone", 20003, mailRoutingAddress="gone@remote.example") +
            entry("cn=team,ou=mail", ["organizationalRole", "inetLocalMailRecipient"], cn="team",
                  mailLocalAddress="team@example.com",
                  mailRoutingAddress=["anna@example.com", "boris@example.com"]))


def qmail_person(name, number, status, **more):
    return entry("uid=%s,ou=mail" % name, ["inetOrgPerson", "qmailUser"], uid=name, cn=name, sn=name,
                 mail=name + "@example.com", mailAlternateAddress=name[0] + "@example.net",
                 accountStatus=status, qmailUID=number, qmailGID=20100,
                 homeDirectory="@VMAIL@/" + name, mailMessageStore="@VMAIL@/%s/Maildir/" % name,
                 userPassword=name + "-secret", **more)


def qmail_people():
    return (qmail_person("anna", 20001, "active") + qmail_person("boris", 20002, "active") +
            qmail_person("locked", 20003, "disabled") + qmail_person("noaccess", 20004, "noaccess") +
            qmail_person("team", 20005, "active", deliveryMode="nolocal",
                         mailForwardingAddress=["anna@example.com", "b@example.net"]))


# Name of the folder under conf/directories: schema, people.
ALL = {
    "freeipa": (NETSCAPE, netscape_people("groupOfNames", "member")),
    "389ds": (NETSCAPE, netscape_people("groupOfUniqueNames", "uniqueMember")),
    "active-directory": (ACTIVE, active_people()),
    "inetlocalmailrecipient": (LASER, laser_people()),
    "qmail": (QMAIL, qmail_people()),
}
