"""Roots octet by octet: layouts that no library makes, each with what a mesh's validators make of it.

`ROOTS` is a table: sentence -> (certificate as DER, verdict). Go and Envoy are asked for the same verdicts by
test_validators.py, where they are there.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meshca.pki.der import (
    BIT_STRING,
    BMP,
    BOOLEAN,
    GENERALIZED_TIME,
    IA5,
    INTEGER,
    NULL,
    NUMERIC,
    OCTET_STRING,
    OID,
    PRINTABLE,
    SET,
    TELETEX,
    UNIVERSAL,
    UTC_TIME,
    UTF8,
    encode,
    sequence,
)
from tests.pki.factories import p256, rsa_key

VISIBLE, GENERAL = 0x1A, 0x1B
KEY = p256()
NOT_BEFORE, NOT_AFTER = encode(UTC_TIME, b"200101000000Z"), encode(UTC_TIME, b"490101000000Z")


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = b""
    for arc in (40 * first + second, *rest):
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.append(arc & 0x7F | 0x80)
        content += bytes(reversed(octets))
    return encode(OID, content)


def attribute(tag: int, value: bytes, kind: str = "2.5.4.3") -> bytes:
    return sequence(oid(kind), encode(tag, value))


def named(*attributes: bytes) -> bytes:
    return sequence(*(encode(SET, each) for each in attributes))


def extension(kind: str, value: bytes, critical: bytes = b"") -> bytes:
    return sequence(oid(kind), critical, encode(OCTET_STRING, value))


TRUE, FALSE = encode(BOOLEAN, b"\xff"), encode(BOOLEAN, b"\0")
ACME = named(attribute(UTF8, b"Acme Root"))
CA = extension("2.5.29.19", sequence(TRUE), TRUE)
USAGE = extension("2.5.29.15", encode(BIT_STRING, b"\1\6"), TRUE)
SKI = extension("2.5.29.14", encode(OCTET_STRING, b"\1" * 20))
ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"))
UUID = "2.25.329800735698586629295641978511506172918"
ARC = f"1.3.6.1.4.1.{1 << 31}"


@dataclass(frozen=True)
class Layout:
    """A certificate in parts, each written already; the defaults are a sound root."""

    version: bytes = encode(0xA0, encode(INTEGER, b"\2"))
    serial: bytes = encode(INTEGER, b"\x12\x34\x56\x78\x90")
    algorithm: bytes = ECDSA_SHA256
    outer_algorithm: bytes | None = None
    subject: bytes = ACME
    issuer: bytes | None = None
    validity: bytes = NOT_BEFORE + NOT_AFTER
    public_key: bytes | None = None
    unique_ids: bytes = b""
    extensions: tuple[bytes, ...] = (CA, USAGE, SKI)
    behind: bytes = b""
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY
    hash: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    scheme: padding.PKCS1v15 | padding.PSS = field(default_factory=padding.PKCS1v15)

    def der(self) -> bytes:
        spki = self.public_key or self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        extensions = encode(0xA3, sequence(*self.extensions)) if self.extensions else b""
        tbs = sequence(
            self.version,
            self.serial,
            self.algorithm,
            self.issuer or self.subject,
            sequence(self.validity),
            self.subject,
            spki,
            self.unique_ids,
            extensions,
            self.behind,
        )
        if isinstance(self.key, rsa.RSAPrivateKey):
            signature = self.key.sign(tbs, self.scheme, self.hash)
        else:
            signature = self.key.sign(tbs, ec.ECDSA(self.hash))
        return sequence(tbs, self.outer_algorithm or self.algorithm, encode(BIT_STRING, b"\0" + signature))


def root(**parts: object) -> bytes:
    return Layout(**parts).der()


def with_name(tag: int, value: bytes) -> bytes:
    return root(subject=named(attribute(tag, value)))


def plus(*more: bytes) -> bytes:
    return root(extensions=(CA, USAGE, SKI, *more))


def point(curve: ec.EllipticCurve, form: PublicFormat) -> bytes:
    return ec.generate_private_key(curve).public_key().public_bytes(Encoding.X962, form)


def spki(algorithm: bytes, key: bytes) -> bytes:
    return sequence(algorithm, encode(BIT_STRING, b"\0" + key))


def number(value: int) -> bytes:
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def rsa_spki(modulus: int, exponent: int, parameters: bytes = encode(NULL, b"")) -> bytes:
    key = sequence(number(modulus), number(exponent))
    return spki(sequence(oid("1.2.840.113549.1.1.1"), parameters), key)


def dates(before: bytes, after: bytes, tag: int = GENERALIZED_TIME) -> bytes:
    return root(validity=encode(tag, before) + encode(tag, after))


def policies(*kinds: str) -> bytes:
    return extension("2.5.29.32", sequence(*(sequence(oid(kind)) for kind in kinds)))


def constraints(permitted: bytes = b"", excluded: bytes = b"") -> bytes:
    trees = b"".join(encode(tag, sequence(each)) for tag, each in ((0xA0, permitted), (0xA1, excluded)) if each)
    return extension("2.5.29.30", sequence(trees), TRUE)


def access(method: str) -> bytes:
    return extension("1.3.6.1.5.5.7.1.1", sequence(sequence(oid(method), encode(0x86, b"http://ca.example/ca.crt"))))


def points(*parts: bytes) -> bytes:
    return plus(extension("2.5.29.31", sequence(sequence(*parts))))


def sans(*names: bytes) -> bytes:
    return plus(extension("2.5.29.17", sequence(*names)))


RSA = rsa_key(2048)
MODULUS = RSA.public_key().public_numbers().n
RSA_SHA256 = sequence(oid("1.2.840.113549.1.1.11"), encode(NULL, b""))
RSA_SHA1 = sequence(oid("1.2.840.113549.1.1.5"), encode(NULL, b""))
ACCEPT, WARN, REFUSE = "accept", "warn", "refuse"
P384_KEY = ec.generate_private_key(ec.SECP384R1())

NAMES = {
    "a UTF8String": (with_name(UTF8, "Würzburg".encode()), ACCEPT),
    "& and * in a PrintableString": (with_name(PRINTABLE, b"A&B *"), ACCEPT),
    "@ in a PrintableString": (with_name(PRINTABLE, b"a@b"), REFUSE),
    "an underscore in a PrintableString": (with_name(PRINTABLE, b"a_b"), REFUSE),
    "Latin-1 in a TeletexString": (with_name(TELETEX, b"M\xfcnchen"), ACCEPT),
    "an IA5String": (with_name(IA5, b"ca@acme.example"), ACCEPT),
    "octets above 127 in an IA5String": (with_name(IA5, b"M\xfcnchen"), REFUSE),
    "a NumericString": (with_name(NUMERIC, b"12 34"), ACCEPT),
    "letters in a NumericString": (with_name(NUMERIC, b"12a"), REFUSE),
    "a VisibleString": (with_name(VISIBLE, b"Root"), REFUSE),
    "a GeneralString": (with_name(GENERAL, b"Root"), REFUSE),
    "a BMPString": (with_name(BMP, "Корень".encode("utf-16-be")), ACCEPT),
    "a BMPString that ends in NUL": (with_name(BMP, "Root\0".encode("utf-16-be")), ACCEPT),
    "a BMPString of half a letter": (with_name(BMP, b"\0R\0"), REFUSE),
    "surrogates in a BMPString": (with_name(BMP, "😀".encode("utf-16-be")), REFUSE),
    "U+FFFE in a BMPString": (with_name(BMP, b"\xff\xfe"), REFUSE),
    "a UniversalString": (with_name(UNIVERSAL, "Root".encode("utf-32-be")), REFUSE),
    "a BIT STRING for a name": (with_name(BIT_STRING, b"\0\1"), REFUSE),
    "U+FFFF in a UTF8String": (with_name(UTF8, "R\uffff".encode()), REFUSE),
    "U+FFFE in a UTF8String": (with_name(UTF8, "R\ufffe".encode()), REFUSE),
    "U+FDD0 in a UTF8String": (with_name(UTF8, "R\ufdd0".encode()), REFUSE),
    "U+1FFFF in a UTF8String": (with_name(UTF8, "R\U0001ffff".encode()), REFUSE),
    "a surrogate in a UTF8String": (with_name(UTF8, b"R\xed\xa0\x80"), REFUSE),
    "an overlong UTF8String": (with_name(UTF8, b"R\xc0\x80"), REFUSE),
    "Latin-1 in a UTF8String": (with_name(UTF8, b"M\xfcnchen"), REFUSE),
    "NUL in a UTF8String": (with_name(UTF8, b"R\0t"), ACCEPT),
    "an emoji in a UTF8String": (with_name(UTF8, "😀".encode()), ACCEPT),
    "an empty value": (with_name(UTF8, b""), ACCEPT),
    "a value of 1,000 letters": (with_name(UTF8, b"R" * 1000), ACCEPT),
    "two values in one RDN, unsorted": (
        root(subject=named(attribute(UTF8, b"Z") + attribute(UTF8, b"A", "2.5.4.10"))),
        ACCEPT,
    ),
    "an RDN without a value": (root(subject=sequence(encode(SET, b""), encode(SET, attribute(UTF8, b"R")))), REFUSE),
    "an attribute of the issuer that is no SEQUENCE": (
        root(issuer=sequence(encode(SET, encode(SET, oid("2.5.4.3") + encode(UTF8, b"Acme Root"))))),
        REFUSE,
    ),
    "an attribute by a UUID": (root(subject=named(attribute(UTF8, b"R", UUID))), REFUSE),
    "an attribute with an arc of 2^31": (root(subject=named(attribute(UTF8, b"R", ARC))), REFUSE),
    "an attribute of one's own": (root(subject=named(attribute(UTF8, b"R", "1.3.6.1.4.1.99999.1"))), ACCEPT),
    "an empty subject": (root(subject=named()), REFUSE),
    "two values of one type in one RDN": (
        root(subject=named(attribute(UTF8, b"A") + attribute(UTF8, b"B"))),
        ACCEPT,
    ),
    "an attribute that is no SEQUENCE": (
        root(subject=named(encode(0x2C, attribute(UTF8, b"Root")[2:]))),
        REFUSE,
    ),
    "another string type in the issuer": (
        root(subject=named(attribute(UTF8, b"Root")), issuer=named(attribute(PRINTABLE, b"Root"))),
        ACCEPT,
    ),
}
NUMBERS = {
    "a serial number of 20 octets": (root(serial=encode(INTEGER, b"\x12" * 20)), ACCEPT),
    "a serial number of 40 octets": (root(serial=encode(INTEGER, b"\x10" * 40)), ACCEPT),
    "serial number 0": (root(serial=encode(INTEGER, b"\0")), ACCEPT),
    "a negative serial number": (root(serial=encode(INTEGER, b"\xff\1")), REFUSE),
    "a serial number with a needless zero": (root(serial=encode(INTEGER, b"\0\1")), REFUSE),
    "a serial number without octets": (root(serial=encode(INTEGER, b"")), REFUSE),
    "version 2": (root(version=encode(0xA0, encode(INTEGER, b"\1"))), REFUSE),
    "version 4": (root(version=encode(0xA0, encode(INTEGER, b"\3"))), REFUSE),
    "version 1": (root(version=b"", extensions=()), REFUSE),
}
TIMES = {
    "GeneralizedTime before 2050": (dates(b"20200101000000Z", b"20490101000000Z"), ACCEPT),
    "an end in 9999": (root(validity=NOT_BEFORE + encode(GENERALIZED_TIME, b"99991231235959Z")), ACCEPT),
    "a begin before 1950": (dates(b"16000101000000Z", b"20490101000000Z"), ACCEPT),
    "UTCTime without seconds": (dates(b"2001010000Z", b"4901010000Z", UTC_TIME), REFUSE),
    "UTCTime with a zone": (dates(b"200101000000+0100", b"490101000000+0100", UTC_TIME), REFUSE),
    "GeneralizedTime with a zone": (dates(b"20200101000000+0100", b"20490101000000+0100"), REFUSE),
    "GeneralizedTime with a fraction": (dates(b"20200101000000.5Z", b"20490101000000.5Z"), REFUSE),
    "a 13th month": (dates(b"20201301000000Z", b"20490101000000Z"), REFUSE),
    "a 60th second": (dates(b"20200101000060Z", b"20490101000000Z"), REFUSE),
    "a third time": (root(validity=NOT_BEFORE + NOT_AFTER + NOT_AFTER), REFUSE),
}
SIGNATURES = {
    "ECDSA with SHA-256 and NULL for parameters": (
        root(algorithm=sequence(oid("1.2.840.10045.4.3.2"), encode(NULL, b""))),
        ACCEPT,
    ),
    "ECDSA with SHA-512": (
        root(algorithm=sequence(oid("1.2.840.10045.4.3.4")), hash=hashes.SHA512()),
        ACCEPT,
    ),
    "ECDSA with a NULL that is not empty for parameters": (
        root(algorithm=sequence(oid("1.2.840.10045.4.3.2"), encode(NULL, b"\0"))),
        REFUSE,
    ),
    "ECDSA and SHA-224": (root(algorithm=sequence(oid("1.2.840.10045.4.3.1")), hash=hashes.SHA224()), WARN),
    "RSASSA-PSS without the parameters that it must have": (
        root(key=RSA, algorithm=sequence(oid("1.2.840.113549.1.1.10"))),
        REFUSE,
    ),
    "RSA without NULL for the signature's parameters": (
        root(key=RSA, algorithm=sequence(oid("1.2.840.113549.1.1.11"))),
        ACCEPT,
    ),
    "RSA and SHA-1": (root(key=RSA, algorithm=RSA_SHA1, hash=hashes.SHA1()), WARN),
    "ECDSA and SHA-1": (root(algorithm=sequence(oid("1.2.840.10045.4.1")), hash=hashes.SHA1()), WARN),
    "RSASSA-PSS for its own signature": (
        root(
            key=RSA,
            algorithm=sequence(
                oid("1.2.840.113549.1.1.10"),
                sequence(
                    encode(0xA0, sequence(oid("2.16.840.1.101.3.4.2.1"), encode(NULL, b""))),
                    encode(
                        0xA1,
                        sequence(
                            oid("1.2.840.113549.1.1.8"), sequence(oid("2.16.840.1.101.3.4.2.1"), encode(NULL, b""))
                        ),
                    ),
                    encode(0xA2, encode(INTEGER, b"\x20")),
                ),
            ),
            scheme=padding.PSS(padding.MGF1(hashes.SHA256()), 32),
        ),
        ACCEPT,
    ),
    "another algorithm inside than outside": (root(outer_algorithm=RSA_SHA256), REFUSE),
}
KEYS = {
    "P-384": (root(key=P384_KEY, algorithm=sequence(oid("1.2.840.10045.4.3.3")), hash=hashes.SHA384()), ACCEPT),
    "a compressed point": (
        root(
            public_key=spki(
                sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")),
                KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
            )
        ),
        REFUSE,
    ),
    "RSA 2048": (root(key=RSA, algorithm=RSA_SHA256), ACCEPT),
    "RSA without NULL for the key's parameters": (
        root(key=RSA, algorithm=RSA_SHA256, public_key=rsa_spki(MODULUS, 65537, b"")),
        REFUSE,
    ),
    "an RSA exponent of 3": (root(key=RSA, algorithm=RSA_SHA256, public_key=rsa_spki(MODULUS, 3)), REFUSE),
    "an RSA exponent of 1": (root(key=RSA, algorithm=RSA_SHA256, public_key=rsa_spki(MODULUS, 1)), REFUSE),
    "an even RSA exponent": (root(key=RSA, algorithm=RSA_SHA256, public_key=rsa_spki(MODULUS, 65536)), REFUSE),
    "an RSA exponent of 33 bits": (
        root(key=RSA, algorithm=RSA_SHA256, public_key=rsa_spki(MODULUS, (1 << 32) + 1)),
        REFUSE,
    ),
    "an RSA modulus of 60,000 bits": (
        root(key=RSA, algorithm=RSA_SHA256, public_key=rsa_spki((1 << 60_000) + 1, 65537)),
        REFUSE,
    ),
}
EXTENSIONS = {
    "basicConstraints without cA": (root(extensions=(extension("2.5.29.19", sequence()), USAGE)), REFUSE),
    "an explicit FALSE for critical": (plus(extension("1.3.6.1.4.1.99999.2", b"x", FALSE)), ACCEPT),
    "a BOOLEAN of 1": (plus(extension("1.3.6.1.4.1.99999.2", b"x", encode(BOOLEAN, b"\1"))), REFUSE),
    "an extension by a UUID": (plus(extension(UUID, b"x")), REFUSE),
    "an extension with an arc of 2^31": (plus(extension(ARC, b"x")), REFUSE),
    "an extension twice": (plus(SKI), REFUSE),
    "a policy twice": (plus(policies("2.5.29.32.0", "2.5.29.32.0")), REFUSE),
    "two policies": (plus(policies("2.5.29.32.0", "1.3.6.1.4.1.99999.3")), ACCEPT),
    "a policy by a UUID": (plus(policies(UUID)), REFUSE),
    "no policy at all": (plus(policies()), ACCEPT),
    "an access method by a UUID": (plus(access(UUID)), REFUSE),
    "a usual access method": (plus(access("1.3.6.1.5.5.7.48.2")), ACCEPT),
    "authority information access of a string": (plus(extension("1.3.6.1.5.5.7.1.1", encode(IA5, b"x"))), REFUSE),
    "a purpose by a UUID": (
        plus(extension("2.5.29.37", sequence(oid("2.5.29.37.0"), oid(UUID)))),
        REFUSE,
    ),
    "a keyUsage with bits behind its end": (
        root(extensions=(CA, extension("2.5.29.15", encode(BIT_STRING, b"\1\7"), TRUE))),
        REFUSE,
    ),
    "a keyUsage with zeros at its end": (
        root(extensions=(CA, extension("2.5.29.15", encode(BIT_STRING, b"\0\6\0"), TRUE))),
        ACCEPT,
    ),
    "an explicit pathLen of 2^63": (
        root(extensions=(extension("2.5.29.19", sequence(TRUE, number(1 << 63)), TRUE), USAGE)),
        REFUSE,
    ),
    "a critical subjectKeyIdentifier": (
        root(extensions=(CA, extension("2.5.29.14", encode(OCTET_STRING, b"\1" * 20), TRUE))),
        REFUSE,
    ),
    "a subjectKeyIdentifier of a string": (root(extensions=(CA, extension("2.5.29.14", encode(UTF8, b"x")))), REFUSE),
    "an authorityKeyIdentifier of an integer": (plus(extension("2.5.29.35", number(5))), REFUSE),
    "an empty list of extensions": (root(extensions=(b"",)), REFUSE),
    "a unique id of the subject": (root(unique_ids=encode(0x82, b"\0\1")), WARN),
    "a unique id of the issuer": (root(unique_ids=encode(0x81, b"\0\1")), WARN),
    "a unique id without octets": (root(unique_ids=encode(0x82, b"")), REFUSE),
    "a unique id with bits behind its end": (root(unique_ids=encode(0x82, b"\1\1")), REFUSE),
    "a damaged list of certificate timestamps": (plus(extension("1.3.6.1.4.1.11129.2.4.2", b"")), WARN),
    "a keyUsage with decipherOnly alone": (
        root(extensions=(CA, extension("2.5.29.15", encode(BIT_STRING, b"\7\6\x80"), TRUE))),
        ACCEPT,
    ),
    "name constraints on a net with bits beyond its mask": (
        plus(constraints(excluded=encode(0x87, b"\x0a\1\0\0\xff\0\0\0"))),
        ACCEPT,
    ),
    "name constraints on a DNS name with a star": (plus(constraints(excluded=encode(0x82, b"*.acme"))), WARN),
    "name constraints on an address as a DNS name": (plus(constraints(excluded=encode(0x82, b"10.0.0.1"))), WARN),
    "name constraints on a URI with an underscore": (plus(constraints(excluded=encode(0x86, b"a_b.acme"))), REFUSE),
    "name constraints on a whole URI": (plus(constraints(excluded=encode(0x86, b"spiffe://acme"))), REFUSE),
    "name constraints on mail to a domain with a dot before it": (
        plus(constraints(excluded=encode(0x81, b"ca@.acme"))),
        REFUSE,
    ),
    "a unique id of the subject in parts": (root(unique_ids=encode(0xA2, encode(BIT_STRING, b"\0\1"))), REFUSE),
    "a unique id of the issuer in parts": (root(unique_ids=encode(0xA1, encode(BIT_STRING, b"\0\1"))), REFUSE),
    "name constraints that permit the trust domain": (plus(constraints(encode(0x86, b"cluster.local"))), WARN),
    "name constraints that exclude another domain": (
        plus(constraints(excluded=encode(0x86, b"other.example"))),
        WARN,
    ),
    "name constraints that permit another domain": (plus(constraints(encode(0x86, b"other.example"))), REFUSE),
    "name constraints on an address in a URI": (plus(constraints(excluded=encode(0x86, b"10.0.0.1"))), REFUSE),
    "name constraints on a DNS name that ends in a dot": (plus(constraints(excluded=encode(0x82, b"a.b."))), REFUSE),
    "name constraints on a DNS name with an empty label": (plus(constraints(excluded=encode(0x82, b"a..b"))), REFUSE),
    "name constraints on a net": (plus(constraints(excluded=encode(0x87, b"\x0a\0\0\0\xff\0\0\0"))), ACCEPT),
    "name constraints on a net with holes": (
        plus(constraints(excluded=encode(0x87, b"\x0a\0\0\0\xff\0\xff\0"))),
        REFUSE,
    ),
    "name constraints on half a net": (plus(constraints(excluded=encode(0x87, b"\x0a\0\0\0"))), REFUSE),
    "name constraints on mail": (plus(constraints(excluded=encode(0x81, b"acme.example"))), ACCEPT),
    "name constraints on mail that is none": (plus(constraints(excluded=encode(0x81, b"a@b@c d"))), REFUSE),
    "empty name constraints": (plus(extension("2.5.29.30", sequence(), TRUE)), REFUSE),
    "name constraints with a minimum": (
        plus(extension("2.5.29.30", sequence(encode(0xA1, sequence(encode(0x81, b"a.b"), encode(0x80, b"\1")))), TRUE)),
        REFUSE,
    ),
    "name constraints with a minimum of 0, written out": (
        plus(extension("2.5.29.30", sequence(encode(0xA1, sequence(encode(0x81, b"a.b"), encode(0x80, b"\0")))), TRUE)),
        REFUSE,
    ),
    "policy constraints that ask for a policy": (
        plus(extension("2.5.29.36", sequence(encode(0x80, b"\0")))),
        ACCEPT,
    ),
    "inhibitAnyPolicy": (plus(extension("2.5.29.54", number(0))), ACCEPT),
    "a policy mapping": (
        plus(extension("2.5.29.33", sequence(sequence(oid("1.3.6.1.4.1.99999.4"), oid("1.3.6.1.4.1.99999.5"))))),
        ACCEPT,
    ),
    "a policy mapping that is no SEQUENCE": (
        plus(extension("2.5.29.33", sequence(encode(SET, oid("1.3.6.1.4.1.99999.4") + oid("1.3.6.1.4.1.99999.5"))))),
        REFUSE,
    ),
    "a usual CRL distribution point": (
        plus(
            extension(
                "2.5.29.31",
                sequence(sequence(encode(0xA0, encode(0xA0, encode(0x86, b"http://ca.example/ca.crl"))))),
            )
        ),
        ACCEPT,
    ),
    "a CRL distribution point relative to its issuer": (
        points(encode(0xA0, encode(0xA1, attribute(UTF8, b"x")))),
        REFUSE,
    ),
    "a CRL distribution point with a damaged name": (points(encode(0xA2, encode(0x88, b""))), REFUSE),
    "a CRL distribution point for reasons without octets": (points(encode(0x81, b"")), REFUSE),
    "a CRL distribution point for some reasons": (points(encode(0x81, b"\1\6")), ACCEPT),
    "no CRL distribution point at all": (plus(extension("2.5.29.31", sequence())), ACCEPT),
    "no access method at all": (plus(extension("1.3.6.1.5.5.7.1.1", sequence())), ACCEPT),
    "a policy with a qualifier": (
        plus(
            extension(
                "2.5.29.32",
                sequence(
                    sequence(
                        oid("2.5.29.32.0"),
                        sequence(sequence(oid("1.3.6.1.5.5.7.2.1"), encode(IA5, b"http://ca.example/cps"))),
                    )
                ),
            )
        ),
        ACCEPT,
    ),
    "name constraints on DNS names that permit istiod's": (plus(constraints(encode(0x82, b"svc"))), ACCEPT),
    "name constraints that permit one namespace only": (plus(constraints(encode(0x82, b"istio-system.svc"))), ACCEPT),
    "an extension of 5,000 octets": (plus(extension("1.3.6.1.4.1.99999.6", b"x" * 5000)), ACCEPT),
    "a subjectKeyIdentifier of 60 octets": (
        root(extensions=(CA, USAGE, extension("2.5.29.14", encode(OCTET_STRING, b"\7" * 60)))),
        ACCEPT,
    ),
    "no keyUsage and no identifiers": (root(extensions=(CA,)), ACCEPT),
    "Netscape's certificate type": (plus(extension("2.16.840.1.113730.1.1", encode(BIT_STRING, b"\0\7"))), ACCEPT),
    "Microsoft's CA version": (plus(extension("1.3.6.1.4.1.311.21.1", number(0))), ACCEPT),
    "a DNS name for itself": (sans(encode(0x82, b"ca.acme.example")), ACCEPT),
    "a DNS name that is not ASCII": (sans(encode(0x82, b"m\xfcnchen.example")), REFUSE),
    "a URI for itself": (sans(encode(0x86, b"https://acme.example/")), ACCEPT),
    "a URI with a host that ends in a dot": (sans(encode(0x86, b"https://acme.example./")), REFUSE),
    "a URI with a user, a star and a port": (sans(encode(0x86, b"http://ca@*.acme.example:80/{id}")), ACCEPT),
    "a URI with an address of version 6": (sans(encode(0x86, b"http://[fe80::1]:80/")), ACCEPT),
    "a URI with half an address of version 6": (sans(encode(0x86, b"http://[fe80]/")), REFUSE),
    "another name with something behind it": (
        sans(encode(0xA0, oid("1.2.3") + encode(0xA0, encode(UTF8, b"x") * 2))),
        REFUSE,
    ),
    "a URI that Go cannot parse": (sans(encode(0x86, b"https://[acme/")), REFUSE),
    "an address of five octets": (sans(encode(0x87, b"\1\2\3\4\5")), REFUSE),
    "a directory name for itself": (sans(encode(0xA4, ACME)), ACCEPT),
    "no name at all for itself": (sans(), ACCEPT),
    "a critical subjectAltName that Go reads": (
        plus(extension("2.5.29.17", sequence(encode(0xA4, ACME), encode(0x82, b"ca.acme")), TRUE)),
        ACCEPT,
    ),
    "a critical subjectAltName of which Go reads nothing": (
        plus(extension("2.5.29.17", sequence(encode(0xA4, ACME)), TRUE)),
        REFUSE,
    ),
    "CRL distribution points of a string": (plus(extension("2.5.29.31", encode(IA5, b"x"))), REFUSE),
    "policy constraints of a string": (plus(extension("2.5.29.36", encode(IA5, b"x"))), REFUSE),
    "something behind the extensions": (root(behind=number(5)), REFUSE),
}
ENCODINGS = {
    "an octet behind the end": (root() + b"0", REFUSE),
    "a length in more octets than needed": (b"\x30\x83\x00" + root()[2:], REFUSE),
    "an indefinite length": (b"\x30\x80" + root()[4:] + b"\0\0", REFUSE),
}
ROOTS = NAMES | NUMBERS | TIMES | SIGNATURES | KEYS | EXTENSIONS | ENCODINGS
